{{/* A Role and its binding to a ServiceAccount of the release.
     Takes (dict "root" $ "component" "…" "name" "…" "namespace" "…" "rules" "path of a file" "published" (list "verb"));
     without a namespace a ClusterRole and a ClusterRoleBinding; `published` for one that the rules give rights to the
     published Secrets. */}}
{{- define "stationkeeper.role" -}}
{{- $scope := ternary "" "Cluster" (hasKey . "namespace") -}}
{{- /* The rules name the server's Secret as it is called by default. */ -}}
{{- $rules := .root.Files.Get .rules | replace "stationkeeper-server-tls" (include "stationkeeper.serverSecret" .root) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- include "stationkeeper.metadata" . | nindent 2 }}
rules:
  {{- $rules | trim | nindent 2 }}
  {{- with .published }}
  {{- include "stationkeeper.otherCountsRule" . | nindent 2 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- include "stationkeeper.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $scope }}Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "stationkeeper.serviceAccount" (list .root .component) }}
    namespace: {{ include "stationkeeper.namespace" .root }}
{{- end }}

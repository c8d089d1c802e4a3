{{/* A Role and its binding to a ServiceAccount of the release.
     Takes (dict "root" $ "component" "…" "name" "…" "namespace" "…" "rules" "path of a file"); without a namespace a
     ClusterRole and a ClusterRoleBinding. */}}
{{- define "stationkeeper.role" -}}
{{- $scope := ternary "" "Cluster" (hasKey . "namespace") -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- include "stationkeeper.metadata" . | nindent 2 }}
rules:
  {{- .root.Files.Get .rules | trim | nindent 2 }}
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
    name: stationkeeper-{{ .component }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

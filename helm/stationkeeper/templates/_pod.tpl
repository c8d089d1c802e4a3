{{/* Labels and annotations of a pod. Takes (list $ "component"). */}}
{{- define "stationkeeper.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := get $root.Values (index . 1) -}}
labels:
  {{- include "stationkeeper.selector" (index . 1) | nindent 2 }}
  app.kubernetes.io/instance: {{ $root.Release.Name }}
  {{- if eq (index . 1) "cups" }}
  stationkeeper.io/registry-buckets: {{ $root.Values.registry.buckets | quote }}
  {{- end }}
  {{- with merge (dict) $values.podLabels $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) $values.podAnnotations $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The beginning of the specs of all pods. Takes (list $ "component"). */}}
{{- define "stationkeeper.podBasics" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := get $root.Values $component -}}
serviceAccountName: {{ include "stationkeeper.serviceAccount" . }}
enableServiceLinks: false
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ include "stationkeeper.spread" (list . $component) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The beginning of all containers. Takes (list $ "component"). */}}
{{- define "stationkeeper.containerBasics" -}}
{{- $root := index . 0 -}}
{{- $values := get $root.Values (index . 1) -}}
name: {{ index . 1 }}
image: {{ include "stationkeeper.image" (list $values.image $root.Chart.AppVersion) }}
imagePullPolicy: {{ $values.image.pullPolicy }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "stationkeeper.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $image.repository $image.digest | quote }}
{{- else -}}
{{ printf "%s:%s" $image.repository ($image.tag | default (index . 1)) | quote }}
{{- end -}}
{{- end }}

{{/* Host and port to listen on. Takes (list $ port). */}}
{{- define "stationkeeper.listen" -}}
{{- $host := (index . 0).Values.listenAddress -}}
{{- $host = ternary (printf "[%s]" $host) $host (contains ":" $host) -}}
{{ printf "%s:%d" $host (index . 1) | quote }}
{{- end }}

{{- define "stationkeeper.temporaryFolder" -}}
name: tmp
emptyDir:
  medium: Memory
  sizeLimit: 16Mi
{{- end }}

{{/* The volume with the token that operator and CUPS share. */}}
{{- define "stationkeeper.internalToken" -}}
name: internal-token
secret:
  secretName: {{ include "stationkeeper.tokenSecret" . }}
  defaultMode: 0440
  items:
    - key: token
      path: token
{{- end }}

{{/* A volume with one key of a Secret. Takes (list "name" "Secret" "key"). */}}
{{- define "stationkeeper.secretKey" -}}
name: {{ index . 0 }}
secret:
  secretName: {{ index . 1 }}
  defaultMode: 0440
  items:
    - key: {{ index . 2 }}
      path: {{ index . 2 }}
{{- end }}

{{/* The volume with one half of the operator's key. Takes (list $ "name" "key of the Secret"). */}}
{{- define "stationkeeper.operatorKey" -}}
name: {{ index . 1 }}
secret:
  secretName: {{ include "stationkeeper.keySecret" (index . 0) }}
  defaultMode: 0440
  items:
    - key: {{ index . 2 }}
      path: {{ index . 2 }}
{{- end }}

{{/* A topology spread constraint, with defaults for missing values. Takes (list constraint "component"). */}}
{{- define "stationkeeper.spread" -}}
{{- $constraint := index . 0 -}}
{{- $defaults := dict "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash") -}}
{{- if not $constraint.labelSelector -}}
{{- $_ := set $defaults "labelSelector" (dict "matchLabels" (include "stationkeeper.selector" (index . 1) | fromYaml)) -}}
{{- end -}}
{{ toYaml (merge (dict) $constraint $defaults) }}
{{- end }}

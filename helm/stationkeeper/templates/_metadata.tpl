{{/* The labels of an object. Takes (list $ "component"). */}}
{{- define "stationkeeper.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "stationkeeper.selector" (index . 1) }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels by which pods are found, by the operator too. Takes "component". */}}
{{- define "stationkeeper.selector" -}}
app.kubernetes.io/name: stationkeeper
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Labels and annotations of an object. Takes (dict "root" $ "component" "…" "annotations" …). */}}
{{- define "stationkeeper.metadata" -}}
labels:
  {{- include "stationkeeper.labels" (list .root .component) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Metadata of an object in the release's namespace. Takes (dict "root" $ "component" "…" "name" "…" "annotations" …);
     without a name it has that of the component. */}}
{{- define "stationkeeper.object" -}}
name: {{ .name | default (printf "%s-%s" (include "stationkeeper.fullname" .root) .component) }}
namespace: {{ include "stationkeeper.namespace" .root }}
{{ include "stationkeeper.metadata" . }}
{{- end }}

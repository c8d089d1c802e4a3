{{/* The names of the documents, as a JSON array. */}}
{{- define "stationkeeper.documentNames" -}}
{{ concat (list "trust") (include "stationkeeper.registryNames" (int .Values.registry.buckets) | fromJsonArray) | toJson }}
{{- end }}

{{/* The names of the registry documents of a count, as a JSON array. Takes the count. */}}
{{- define "stationkeeper.registryNames" -}}
{{- $count := . -}}
{{- $form := printf "registry-%d-%%0%dd" $count (len (sub $count 1 | toString)) -}}
{{- if eq $count 16 -}}
{{- $form = "registry-%02d" -}}
{{- end -}}
{{- $names := list -}}
{{- range until $count -}}
{{- $names = append $names (printf $form .) -}}
{{- end -}}
{{ $names | toJson }}
{{- end }}

{{/* The rule for the registry Secrets of all counts but 16, which the files in `rbac` name: while the count changes, pods
     read two of them. Takes a list of verbs. */}}
{{- define "stationkeeper.otherCountsRule" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: {{ . | toJson }}
  resourceNames:
    {{- range list 32 64 128 256 512 1024 }}
    {{- range include "stationkeeper.registryNames" . | fromJsonArray }}
    - stationkeeper-{{ . }}
    {{- end }}
    {{- end }}
{{- end }}

{{/* The Secrets that the operator publishes, as sources of one volume: each a file named as its key. None has that key
     at first, so all are optional. */}}
{{- define "stationkeeper.documents" -}}
{{- range include "stationkeeper.documentNames" . | fromJsonArray }}
- secret:
    name: stationkeeper-{{ . }}
    optional: true
    items:
      - key: {{ . }}
        path: {{ . }}
{{- end }}
{{- end }}

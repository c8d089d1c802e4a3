{{/* The names of the documents, as a JSON array. */}}
{{- define "stationkeeper.documentNames" -}}
{{- $documents := list "trust" -}}
{{- range until 16 -}}
{{- $documents = append $documents (printf "registry-%02d" .) -}}
{{- end -}}
{{ $documents | toJson }}
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

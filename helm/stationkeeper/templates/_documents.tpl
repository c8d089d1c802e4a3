{{/* The Secrets that the operator publishes, as sources of one volume: each a file named as its key. None is there at
     first, so all are optional. */}}
{{- define "stationkeeper.documents" -}}
{{- $documents := list "trust" -}}
{{- range until 16 -}}
{{- $documents = append $documents (printf "registry-%02d" .) -}}
{{- end -}}
{{- range $documents }}
- secret:
    name: stationkeeper-{{ . }}
    optional: true
    items:
      - key: {{ . }}
        path: {{ . }}
{{- end }}
{{- end }}

{{/* The beginning of the names of objects. */}}
{{- define "stationkeeper.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if not .Values.nameOverride -}}
stationkeeper
{{- else if contains .Values.nameOverride .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "stationkeeper.namespace" -}}
{{ .Values.namespace | default .Release.Namespace }}
{{- end }}

{{/* The ServiceAccount of a component. Takes (list $ "component"). */}}
{{- define "stationkeeper.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $account := (get $root.Values (index . 1)).serviceAccount -}}
{{- $own := ternary (printf "%s-%s" (include "stationkeeper.fullname" $root) (index . 1)) "default" $account.create -}}
{{ $account.name | default $own }}
{{- end }}

{{/* The served namespaces, as a JSON array; empty for all. */}}
{{- define "stationkeeper.servedNamespaces" -}}
{{- $served := .Values.watchNamespaces -}}
{{- $labels := .Values.watchNamespacesWithLabels -}}
{{- if $labels -}}
{{- range (lookup "v1" "Namespace" "" "").items -}}
{{- $has := .metadata.labels | default dict -}}
{{- $fits := true -}}
{{- range $name, $value := $labels -}}
{{- $fits = and $fits (hasKey $has $name) (eq (get $has $name) $value) -}}
{{- end -}}
{{- if $fits -}}
{{- $served = append $served .metadata.name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.watchAllNamespaces -}}
[]
{{- else -}}
{{ $served | default (list (include "stationkeeper.namespace" .)) | uniq | sortAlpha | toJson }}
{{- end -}}
{{- end }}

{{/* The name of the operator's rights in the served namespaces: unique to the release in the whole cluster. */}}
{{- define "stationkeeper.resourcesRole" -}}
{{ include "stationkeeper.fullname" . }}-operator-resources-{{ include "stationkeeper.namespace" . }}
{{- end }}

{{/* The name of what the page may do there. */}}
{{- define "stationkeeper.pageRole" -}}
{{ include "stationkeeper.fullname" . }}-page-resources-{{ include "stationkeeper.namespace" . }}
{{- end }}

{{- define "stationkeeper.tokenSecret" -}}
{{ .Values.cups.internalToken.existingSecret | default (printf "%s-internal-token" (include "stationkeeper.fullname" .)) }}
{{- end }}

{{/* The Secret with the operator's signing key and its certificate. */}}
{{- define "stationkeeper.keySecret" -}}
{{ .Values.operator.signingKey.existingSecret | default (printf "%s-operator-key" (include "stationkeeper.fullname" .)) }}
{{- end }}

{{/* The Secret of the server's certificate. A trial has one of its own, so that a rendering never lays a trial's
     certificate over one that gateways trust. */}}
{{- define "stationkeeper.serverSecret" -}}
{{- $own := ternary "stationkeeper-trial-tls" "stationkeeper-server-tls" (eq .Values.server.certificate.source "trial") -}}
{{ .Values.server.certificate.secretName | default $own }}
{{- end }}

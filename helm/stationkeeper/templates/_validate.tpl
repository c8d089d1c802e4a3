{{/* What a schema cannot say of the values. */}}
{{- define "stationkeeper.validate" -}}
{{- if not .Values.enabled -}}
{{- fail "enabled is false, but Helm would install everything: in the parent chart, set `condition: stationkeeper.enabled` in its dependency on stationkeeper" -}}
{{- end -}}
{{- $chosen := or .Values.watchNamespaces .Values.watchNamespacesWithLabels -}}
{{- if and .Values.watchAllNamespaces $chosen -}}
{{- fail "watchAllNamespaces is true, and watchNamespaces or watchNamespacesWithLabels names some: set one of them" -}}
{{- end -}}
{{- if and .Release.IsUpgrade (not .Values.watchAllNamespaces) (not $chosen) -}}
{{- $name := printf "%s-operator" (include "stationkeeper.fullname" .) -}}
{{- $before := lookup "apps/v1" "Deployment" (include "stationkeeper.namespace" .) $name | default dict -}}
{{- range dig "spec" "template" "spec" "containers" list $before -}}
{{- range .env -}}
{{- if and (eq .name "STATIONKEEPER_WATCH_NAMESPACES") (not .value) -}}
{{- fail "this release serves all namespaces, and would serve its own alone after this upgrade, which refuses the gateways of all others: set watchAllNamespaces to true, or name the namespaces in watchNamespaces" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $longest := sub (int .Values.cups.terminationGracePeriodSeconds) 10 -}}
{{- if gt (int .Values.cups.preStopSleepSeconds) (int $longest) -}}
{{- fail (printf "cups.preStopSleepSeconds is %d, but cups.terminationGracePeriodSeconds of %d leaves at most %d for it, as open requests need 10: a pod would be killed while it answers" (int .Values.cups.preStopSleepSeconds) (int .Values.cups.terminationGracePeriodSeconds) (int $longest)) -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled -}}
{{- fail "monitoring.serviceMonitor and monitoring.podMonitor are both enabled: all would be scraped and counted twice; enable one" -}}
{{- end -}}
{{- with .Values.cups.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "cups.autoscaling.minReplicas is %d, more than maxReplicas, which is %d" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if and .enabled (not .targetCPUUtilizationPercentage) (not .metrics) -}}
{{- fail "cups.autoscaling is enabled but has nothing to scale by: set targetCPUUtilizationPercentage or metrics" -}}
{{- end -}}
{{- end -}}
{{- with .Values.page -}}
{{- $proxy := and .proxy.userHeader .proxy.trustedCIDRs .proxy.existingSecret -}}
{{- if and (or .proxy.userHeader .proxy.trustedCIDRs .proxy.existingSecret) (not $proxy) -}}
{{- fail "page.proxy: a proxy is believed by all three of userHeader, trustedCIDRs and existingSecret: set them all, or none" -}}
{{- end -}}
{{- if eq (lower .proxy.userHeader) (lower .proxy.secretHeader) -}}
{{- fail "page.proxy.userHeader and page.proxy.secretHeader are the same header" -}}
{{- end -}}
{{- if and .enabled (not .token.existingSecret) (not $proxy) -}}
{{- fail "page is enabled but would be open to every pod of the cluster: set page.token.existingSecret, or page.proxy" -}}
{{- end -}}
{{- end -}}
{{- end }}

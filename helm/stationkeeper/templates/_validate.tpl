{{/* Checks of the values that a schema cannot express. */}}
{{- define "stationkeeper.validate" -}}
{{- if not .Values.enabled -}}
{{- fail "enabled is false, but Helm would install everything: in the parent chart, set `condition: stationkeeper.enabled` in its dependency on stationkeeper" -}}
{{- end -}}
{{- $chosen := or .Values.watchNamespaces .Values.watchNamespacesWithLabels -}}
{{- if and .Values.watchAllNamespaces $chosen -}}
{{- fail "watchAllNamespaces is true, and watchNamespaces or watchNamespacesWithLabels is set too: set one of them" -}}
{{- end -}}
{{- if and .Release.IsUpgrade (not .Values.watchAllNamespaces) (not $chosen) -}}
{{- $name := printf "%s-operator" (include "stationkeeper.fullname" .) -}}
{{- $before := lookup "apps/v1" "Deployment" (include "stationkeeper.namespace" .) $name | default dict -}}
{{- range dig "spec" "template" "spec" "containers" list $before -}}
{{- range .env -}}
{{- if and (eq .name "STATIONKEEPER_WATCH_NAMESPACES") (not .value) -}}
{{- fail "this release serves all namespaces. After this upgrade it would serve only its own, and CUPS would refuse the gateways of all others: set watchAllNamespaces to true, or name the namespaces in watchNamespaces" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $longest := sub (int .Values.cups.terminationGracePeriodSeconds) 10 -}}
{{- if gt (int .Values.cups.preStopSleepSeconds) (int $longest) -}}
{{- fail (printf "cups.preStopSleepSeconds is %d, but cups.terminationGracePeriodSeconds of %d leaves at most %d for it, since open requests need 10: reduce the first or raise the second, or a pod is killed while it answers" (int .Values.cups.preStopSleepSeconds) (int .Values.cups.terminationGracePeriodSeconds) (int $longest)) -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled -}}
{{- fail "monitoring.serviceMonitor and monitoring.podMonitor are both enabled, so every pod would be scraped and counted twice: enable only one" -}}
{{- end -}}
{{- with .Values.cups.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "cups.autoscaling.minReplicas is %d, but maxReplicas is only %d: raise maxReplicas or reduce minReplicas" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if and .enabled (not .targetCPUUtilizationPercentage) (not .metrics) -}}
{{- fail "cups.autoscaling is enabled but has no metric: set targetCPUUtilizationPercentage or metrics" -}}
{{- end -}}
{{- end -}}
{{- with .Values.page -}}
{{- $proxy := and .proxy.userHeader .proxy.trustedCIDRs .proxy.existingSecret -}}
{{- if and (or .proxy.userHeader .proxy.trustedCIDRs .proxy.existingSecret) (not $proxy) -}}
{{- fail "page.proxy: a proxy needs all three of userHeader, trustedCIDRs and existingSecret: set them all, or none" -}}
{{- end -}}
{{- if eq (lower .proxy.userHeader) (lower .proxy.secretHeader) -}}
{{- fail "page.proxy.userHeader and page.proxy.secretHeader are the same header" -}}
{{- end -}}
{{- if and .enabled (not .token.existingSecret) (not $proxy) -}}
{{- fail "page is enabled but would be open to every pod of the cluster: set page.token.existingSecret, or page.proxy" -}}
{{- end -}}
{{- end -}}
{{- end }}

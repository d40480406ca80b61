{{/* What selects the pods of one part; never changes, for selectors cannot. Takes a dict of root and component. */}}
{{- define "top-clients.selector" -}}
app.kubernetes.io/name: top-clients
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end }}

{{/*
On every object of the chart. Takes a dict of root and component, and more: labels of that object. Those that others give
never take the place of ours.
*/}}
{{- define "top-clients.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") "app.kubernetes.io/part-of" "top-clients" "app.kubernetes.io/version" .root.Chart.AppVersion "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- toYaml (merge $own (include "top-clients.selector" . | fromYaml) (.more | default dict) (.root.Values.commonLabels | default dict)) -}}
{{- end }}

{{/* What the names of the chart's own objects begin with. What the operator makes has names that nothing changes. */}}
{{- define "top-clients.fullname" -}}
{{- .Values.fullnameOverride | default .Values.nameOverride | default "top-clients" | trunc 40 | trimSuffix "-" -}}
{{- end }}
{{- define "top-clients.operator" -}}
{{ include "top-clients.fullname" . }}-operator
{{- end }}

{{/* The namespaces that the operator works in, as a JSON list. */}}
{{- define "top-clients.watched" -}}
{{- .Values.watchNamespaces | default (list .Release.Namespace) | toJson -}}
{{- end }}
{{- define "top-clients.watchesAll" -}}
{{- if has "*" (.Values.watchNamespaces | default list) -}}true{{- end -}}
{{- end }}

{{/* Refuses values about who works where that contradict each other. */}}
{{- define "top-clients.refuseScope" -}}
{{- $watched := .Values.watchNamespaces | default list -}}
{{- if not (or .Values.operator.enabled .Values.platform.enabled) -}}
{{- fail "operator.enabled and platform.enabled are both false, so that nothing would be installed; set one of them to true" -}}
{{- end -}}
{{- if and $watched (not .Values.operator.enabled) -}}
{{- fail "watchNamespaces is of an operator, and operator.enabled is false; remove it here, and set it where the operator is installed" -}}
{{- end -}}
{{- if and (has "*" $watched) (gt (len $watched) 1) -}}
{{- fail "watchNamespaces has * and others beside it; * is all of them, so remove the others" -}}
{{- end -}}
{{- if and $watched .Values.operator.enabled .Values.platform.enabled (not (has "*" $watched)) (not (has .Release.Namespace $watched)) -}}
{{- fail (printf "watchNamespaces lacks %s, where this release has a platform; add it, or set platform.enabled to false" .Release.Namespace) -}}
{{- end -}}
{{- end }}

{{/* The account of the operator's pods. */}}
{{- define "top-clients.account" -}}
{{- (.Values.serviceAccount | default dict).name | default (include "top-clients.operator" .) -}}
{{- end }}

{{/* The reference of an image, at global.imageRegistry where that is set. Takes a dict of root and image. */}}
{{- define "top-clients.inRegistry" -}}
{{- $registry := (.root.Values.global | default dict).imageRegistry -}}
{{- $parts := splitList "/" .image -}}
{{- if not $registry -}}
{{ .image }}
{{- else if and (gt (len $parts) 1) (or (contains "." (first $parts)) (contains ":" (first $parts)) (eq (first $parts) "localhost")) -}}
{{ $registry }}/{{ join "/" (rest $parts) }}
{{- else -}}
{{ $registry }}/{{ .image }}
{{- end -}}
{{- end }}

{{/* The reference of the image. */}}
{{- define "top-clients.image" -}}
{{- with .Values.image -}}
{{- $repository := include "top-clients.inRegistry" (dict "root" $ "image" .repository) -}}
{{- if .digest -}}
{{ $repository }}@{{ .digest }}
{{- else -}}
{{ $repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Names of global.imagePullSecrets, whose elements may be names or maps with a name, as a JSON list. */}}
{{- define "top-clients.globalPullSecrets" -}}
{{- $names := list -}}
{{- range (.Values.global | default dict).imagePullSecrets -}}
{{- $names = append $names (ternary . (dig "name" "" (ternary (dict) . (kindIs "string" .))) (kindIs "string" .)) -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}

{{/* What an element of a list is told by. */}}
{{- define "top-clients.identity" -}}
{{- if kindIs "map" . -}}{{ .mountPath | default .name | default .ip | default (toJson .) }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{/*
Settings of the pods of one part of the chart, as JSON: those of topClients.pods, and over them its own, by the rules by
which the operator puts those of a role over them. Takes a dict of root and owns, a list.
*/}}
{{- define "top-clients.pods" -}}
{{- $merged := deepCopy (.root.Values.topClients.pods | default dict) -}}
{{- range .owns -}}
{{- range $name, $value := . -}}
{{- $before := get $merged $name -}}
{{- if and (kindIs "slice" $value) $before (not (has $name (list "topologySpreadConstraints"))) -}}
{{- $own := dict -}}
{{- range $value -}}{{- $_ := set $own (include "top-clients.identity" .) true -}}{{- end -}}
{{- $kept := list -}}
{{- range $before -}}{{- if not (hasKey $own (include "top-clients.identity" .)) -}}{{- $kept = append $kept . -}}{{- end -}}{{- end -}}
{{- $_ := set $merged $name (concat $kept $value) -}}
{{- else if and (kindIs "map" $value) $before (not (has $name (list "affinity" "dnsConfig"))) -}}
{{- $_ := set $merged $name (merge (deepCopy $value) $before) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $merged $name $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $merged -}}
{{- end }}

{{/* The members of a pod's spec that settings decide. Takes a dict of root, part and settings. */}}
{{- define "top-clients.podSpec" -}}
{{- $settings := .settings | default dict -}}
{{- $spec := pick $settings "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" "dnsConfig" "hostAliases" -}}
{{- range $name, $value := $spec -}}
{{- if not $value -}}{{- $spec = omit $spec $name -}}{{- end -}}
{{- end -}}
{{- $secrets := list -}}
{{- range concat (.root.Values.image.pullSecrets | default list) (fromJsonArray (include "top-clients.globalPullSecrets" .root)) ($settings.imagePullSecrets | default list) | uniq -}}
{{- $secrets = append $secrets (dict "name" .) -}}
{{- end -}}
{{- if $secrets -}}{{- $_ := set $spec "imagePullSecrets" $secrets -}}{{- end -}}
{{- $labelSelector := dict "matchLabels" (fromYaml (include "top-clients.selector" .part)) -}}
{{- $spread := list -}}
{{- if hasKey $settings "topologySpreadConstraints" -}}
{{- range $settings.topologySpreadConstraints -}}
{{- $own := hasKey . "labelSelector" | ternary (dict) (dict "labelSelector" $labelSelector) -}}
{{- $spread = append $spread (merge (deepCopy .) $own (dict "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway")) -}}
{{- end -}}
{{- else -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" -}}
{{- $spread = append $spread (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway" "labelSelector" $labelSelector) -}}
{{- end -}}
{{- end -}}
{{- if $spread -}}{{- $_ := set $spec "topologySpreadConstraints" $spread -}}{{- end -}}
{{- with $spec -}}{{- toYaml . -}}{{- end -}}
{{- end }}

{{/* A container's environment and mounts with further ones, as JSON. Takes a dict of all, the list, and more. */}}
{{- define "top-clients.withMore" -}}
{{- $own := dict -}}
{{- range .more -}}{{- $_ := set $own (include "top-clients.identity" .) true -}}{{- end -}}
{{- $kept := list -}}
{{- range .all -}}{{- if not (hasKey $own (include "top-clients.identity" .)) -}}{{- $kept = append $kept . -}}{{- end -}}{{- end -}}
{{- toYaml (concat $kept (.more | default list)) -}}
{{- end }}

{{/* The pod's and its container's security, as the restricted profile of Pod Security wants it. Takes the settings. */}}
{{- define "top-clients.podSecurity" -}}
{{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if ne .userIds "assigned" -}}
{{- $security = merge $security (dict "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532) -}}
{{- end -}}
{{- toYaml (merge (dict) (.podSecurityContext | default dict) $security) -}}
{{- end }}
{{- define "top-clients.containerSecurity" -}}
{{- $security := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "runAsNonRoot" true "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (merge (dict) (.containerSecurityContext | default dict) $security) -}}
{{- end }}

{{/*
The spec of the platform. The roles run the operator's own image unless told otherwise, so that after an upgrade it is
the new operator that moves them. How an image is pulled stands beside its name, though; where that is said, all is.
*/}}
{{- define "top-clients.platform" -}}
{{- $spec := deepCopy .Values.topClients -}}
{{- with .Values.commonLabels -}}
{{- $_ := set $spec "commonLabels" (merge (dict) ($spec.commonLabels | default dict) .) -}}
{{- end -}}
{{- $secrets := fromJsonArray (include "top-clients.globalPullSecrets" .) -}}
{{- if $secrets -}}
{{- $_ := set $spec "pods" ($spec.pods | default dict) -}}
{{- $_ := set $spec.pods "imagePullSecrets" (concat $secrets ($spec.pods.imagePullSecrets | default list) | uniq) -}}
{{- end -}}
{{- if (.Values.global | default dict).imageRegistry -}}
{{- $images := (include "top-clients.defaults" . | fromYaml).images -}}
{{- range $store, $image := $images -}}
{{- $_ := set $spec $store (get $spec $store | default dict) -}}
{{- $store := get $spec $store -}}
{{- $_ := set $store "embedded" ($store.embedded | default dict) -}}
{{- $_ := set $store.embedded "image" (include "top-clients.inRegistry" (dict "root" $ "image" ($store.embedded.image | default $image))) -}}
{{- with dig "cnpg" "image" "" $store -}}
{{- $_ := set $store.cnpg "image" (include "top-clients.inRegistry" (dict "root" $ "image" .)) -}}
{{- end -}}
{{- end -}}
{{- with $spec.image -}}
{{- $_ := set . "repository" (include "top-clients.inRegistry" (dict "root" $ "image" (.repository | default "top-clients"))) -}}
{{- end -}}
{{- end -}}
{{- if and (not $spec.image) (or .Values.image.pullSecrets (ne .Values.image.pullPolicy "IfNotPresent")) -}}
{{- $image := pick .Values.image "pullPolicy" "pullSecrets" -}}
{{- $_ := set $image "repository" (include "top-clients.inRegistry" (dict "root" . "image" .Values.image.repository)) -}}
{{- if .Values.image.digest -}}
{{- $_ := set $image "digest" .Values.image.digest -}}
{{- else -}}
{{- $_ := set $image "tag" (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- $_ := set $spec "image" $image -}}
{{- end -}}
{{- toYaml $spec -}}
{{- end }}

{{/*
Every template begins with it: what was set to null is what it is when nobody says, not an error of the template.
*/}}
{{- define "top-clients.settle" -}}
{{- $defaults := merge (dict "topClients" dict "pages" dict) (include "top-clients.sections" . | fromYaml) -}}
{{- range $part, $members := $defaults -}}
{{- if kindIs "invalid" (index $.Values $part) -}}{{- $_ := set $.Values $part $members -}}{{- end -}}
{{- $given := index $.Values $part -}}
{{- if and (kindIs "map" $members) (kindIs "map" $given) -}}
{{- range $name, $otherwise := $members -}}
{{- if kindIs "invalid" (index $given $name) -}}{{- $_ := set $given $name $otherwise -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
Refuses values that the API server would refuse, in its words and all at once. The operator sees the rest: what an object
was before, and what is in the cluster.
*/}}
{{- define "top-clients.refuse" -}}
{{- $broken := include "top-clients.broken.platform" (dict "spec" .Values.topClients "at" "topClients") | fromJsonArray -}}
{{- $defaults := include "top-clients.defaults" . | fromYaml -}}
{{- $partitions := dig "kafka" "partitions" $defaults.partitions .Values.topClients | int -}}
{{- range $name, $spec := .Values.pages -}}
{{- if kindIs "map" $spec -}}
{{- $at := printf "pages.%s" $name -}}
{{- $named := dict "metadata" (dict "name" $name) "spec" $spec -}}
{{- $broken = concat $broken (include "top-clients.broken.name" (dict "spec" $named "at" $at) | fromJsonArray) (include "top-clients.broken.page" (dict "spec" $spec "at" $at) | fromJsonArray) -}}
{{- $least := ternary "replicas" "autoscaling.minReplicas" (eq (dig "server" "autoscaling" "mode" "none" $spec) "none") -}}
{{- $servers := get (dict "replicas" (dig "server" "replicas" 2 $spec) "autoscaling.minReplicas" (dig "server" "autoscaling" "minReplicas" 2 $spec)) $least -}}
{{- if and (not (include "top-clients.demo" $)) (not $spec.external) (eq (int $servers) 1) -}}
{{- $broken = append $broken (printf "%s.server.%s %s" $at $least (include "top-clients.tooFewServers" .)) -}}
{{- end -}}
{{- /* The admission policy says so too, but on a first install the platform it looks at comes after the pages. */ -}}
{{- range $value, $given := dict "replicas" (dig "replicas" $defaults.replicas $spec) "autoscaling.maxReplicas" (dig "autoscaling" "maxReplicas" $defaults.maxReplicas $spec) -}}
{{- if gt (int $given) $partitions -}}
{{- $broken = append $broken (printf "%s.%s is %d, but topClients.kafka.partitions is %d: projectors beyond that would have nothing to read; lower it" $at $value (int $given) $partitions) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $broken (not .Values.topClients.profile) -}}
{{- $broken = append $broken "for a system to look at: --set topClients.profile=demo; values for production: examples/production-*.yaml of the chart" -}}
{{- end -}}
{{- with $broken -}}
{{- fail (printf "these values cannot be used:\n  %s" (join "\n  " .)) -}}
{{- end -}}
{{- end }}

{{/* Whether it is there to be looked at. */}}
{{- define "top-clients.demo" -}}
{{- if eq (dig "profile" "production" .Values.topClients) "demo" -}}true{{- end -}}
{{- end }}

{{/* Whether the demo's issuer runs, as the platform has it. */}}
{{- define "top-clients.demoIssuer" -}}
{{- $auth := dig "auth" dict .Values.topClients -}}
{{- if hasKey $auth "demoIssuer" -}}
{{- if $auth.demoIssuer -}}true{{- end -}}
{{- else if and (include "top-clients.demo" .) (not $auth.issuer) (not $auth.jwksUrl) -}}
true
{{- end -}}
{{- end }}

{{/* Whether NetworkPolicies are wanted: as the platform has it. */}}
{{- define "top-clients.networkPolicies" -}}
{{- if ne (dig "networkPolicies" "enabled" true .Values.topClients) false -}}true{{- end -}}
{{- end }}

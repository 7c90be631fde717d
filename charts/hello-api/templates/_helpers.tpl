{{- define "hello-api.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 50 characters, so that suffixes fit, and the label `app.<name>.status` of the spin-operator. */}}
{{- define "hello-api.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hello-api.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "hello-api.commonSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: birthday
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "hello-api.commonSelector" -}}
app.kubernetes.io/name: {{ include "hello-api.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The pods of the API, without those of `helm test`. */}}
{{- define "hello-api.selector" -}}
{{ include "hello-api.commonSelector" . }}
app.kubernetes.io/component: api
{{- end }}

{{/* The label by which the pods of one version differ from those of another. */}}
{{- define "hello-api.podHashLabel" -}}
{{- .Values.rollout.enabled | ternary "rollouts-pod-template-hash" "pod-template-hash" }}
{{- end }}

{{/*
The field `replicas` of a workload that an autoscaler scales: empty, or the number of pods that it has now. If a field that helm has set
disappears, the server replaces it by its default: by 1, whatever runs. So a release that has had the field keeps it, with an annotation
that says so. It may disappear where helm applies on the server's side and the autoscaler owns the field, too.
*/}}
{{- define "hello-api.keptReplicas" -}}
{{- $scaler := .Values.autoscaling.enabled | ternary .Values.autoscaling .Values.keda }}
{{- if $scaler.enabled }}
{{- $name := include "hello-api.fullname" . }}
{{- $target := include "hello-api.scaleTarget" . | fromYaml }}
{{- $running := lookup $target.apiVersion $target.kind .Release.Namespace $name }}
{{- $isNew := empty $running }}
{{- if and $isNew .Values.rollout.enabled }}
{{- $running = lookup "apps/v1" "Deployment" .Release.Namespace $name }}
{{- else if and $isNew (.Capabilities.APIVersions.Has "argoproj.io/v1alpha1/Rollout") }}
{{- $running = lookup "argoproj.io/v1alpha1" "Rollout" .Release.Namespace $name }}
{{- end }}
{{- if $running }}
{{- $isKept := or $isNew (hasKey ($running.metadata.annotations | default dict) "hello-api/replicas") }}
{{- $wasScaled := lookup "autoscaling/v2" "HorizontalPodAutoscaler" .Release.Namespace (.Values.keda.enabled | ternary (printf "keda-hpa-%s" $name) $name) }}
{{- $isApplied := false }}
{{- $othersOwnIt := false }}
{{- range $running.metadata.managedFields }}
{{- $spec := dig "f:spec" dict (.fieldsV1 | default dict) }}
{{- if hasKey $spec "f:template" }}
{{- $isApplied = or $isApplied (eq .operation "Apply") }}
{{- else if hasKey $spec "f:replicas" }}
{{- $othersOwnIt = true }}
{{- end }}
{{- end }}
{{- if and (or $isKept (not $wasScaled)) (or $isNew (not (and $isApplied $othersOwnIt))) }}
{{- max (int (dig "spec" "replicas" 1 $running)) (int $scaler.minReplicas) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What an autoscaler scales, as the fields of `scaleTargetRef`. */}}
{{- define "hello-api.scaleTarget" -}}
apiVersion: {{ .Values.rollout.enabled | ternary "argoproj.io/v1alpha1" "apps/v1" }}
kind: {{ .Values.rollout.enabled | ternary "Rollout" "Deployment" }}
name: {{ include "hello-api.fullname" . }}
{{- end }}

{{/* Services of the stable and the new version, as YAML: a list of their names. Empty without traffic routing. */}}
{{- define "hello-api.versionServices" -}}
{{- if .Values.rollout.trafficRouting }}
{{- range eq .Values.rollout.trafficRouting "alb" | ternary (list "ping" "pong") (list "stable" "canary") }}
- {{ include "hello-api.fullname" $ }}-{{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hello-api.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "hello-api.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "hello-api.image" -}}
{{- $repository := .Values.image.repository | default "birthday-host" }}
{{- with .Values.image.digest }}
{{- printf "%s@%s" $repository . }}
{{- else }}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* Not empty if pods cannot share the store. */}}
{{- define "hello-api.isForOnePod" -}}
{{- with .Values.spinapp.runtimeConfig }}
{{- if or (has $.Values.store (list "memory" "sqlite")) (and (eq $.Values.store "keyValue") (not (or .loadFromSecret .keyValueStores))) }}true{{ end }}
{{- end }}
{{- end }}

{{/* Empty if an autoscaler sets the number. */}}
{{- define "hello-api.replicas" -}}
{{- if not (or .Values.autoscaling.enabled .Values.keda.enabled) }}
{{- if kindIs "invalid" .Values.replicas }}
{{- include "hello-api.isForOnePod" . | empty | ternary 2 1 }}
{{- else }}
{{- .Values.replicas }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hello-api.resources" -}}
{{- $default := dict "requests" (dict "cpu" "100m" "memory" "64Mi") "limits" (dict "memory" "256Mi") }}
{{- toYaml (.Values.resources | default $default) }}
{{- end }}

{{/* The variables that come from a Secret, as YAML: variable → {name, key}. */}}
{{- define "hello-api.secretVariables" -}}
{{- $own := printf "%s-variables" (include "hello-api.fullname" .) }}
{{- $variables := dict }}
{{- range $variable, $key := .Values.existingSecret.keys }}
{{- $_ := set $variables $variable (dict "name" $.Values.existingSecret.name "key" $key) }}
{{- end }}
{{- if .Values.externalSecret.enabled }}
{{- range $variable, $_ := .Values.externalSecret.data }}
{{- $_ := set $variables $variable (dict "name" $own "key" $variable) }}
{{- end }}
{{- end }}
{{- if .Values.vault.enabled }}
{{- range $variable, $field := .Values.vault.keys }}
{{- $_ := set $variables $variable (dict "name" $own "key" $field) }}
{{- end }}
{{- end }}
{{- toYaml $variables }}
{{- end }}

{{/* Not empty if pods have the secret variables as files. */}}
{{- define "hello-api.secretsAsFiles" -}}
{{- $asFiles := kindIs "invalid" .Values.secretsAsFiles | ternary (eq .Values.runtime "host") .Values.secretsAsFiles }}
{{- if and $asFiles (or (include "hello-api.secretVariables" . | fromYaml) .Values.secretProviderClass.name) }}true{{ end }}
{{- end }}

{{/* The files of the secret variables, as YAML: variable → path. */}}
{{- define "hello-api.variableFiles" -}}
{{- $files := dict }}
{{- if include "hello-api.secretsAsFiles" . }}
{{- range $variable, $_ := include "hello-api.secretVariables" . | fromYaml }}
{{- $_ := set $files $variable (printf "/etc/birthday/variables/%s" $variable) }}
{{- end }}
{{- range $variable, $file := .Values.secretProviderClass.files }}
{{- $_ := set $files $variable (printf "/etc/birthday/variables/%s" $file) }}
{{- end }}
{{- end }}
{{- toYaml $files }}
{{- end }}

{{/* The volume with those files. */}}
{{- define "hello-api.variablesVolume" -}}
name: variables
{{- with .Values.secretProviderClass.name }}
csi:
  driver: secrets-store.csi.k8s.io
  readOnly: true
  volumeAttributes:
    secretProviderClass: {{ . }}
{{- else }}
{{- $variables := include "hello-api.secretVariables" . | fromYaml }}
secret:
  secretName: {{ (values $variables | first).name }}
  items:
    {{- range $variable, $from := $variables }}
    - key: {{ $from.key }}
      path: {{ $variable }}
    {{- end }}
{{- end }}
{{- end }}

{{/* Its mount: whole, because Kubernetes never updates a subPath. */}}
{{- define "hello-api.variablesMount" -}}
name: variables
mountPath: /etc/birthday/variables
readOnly: true
{{- end }}

{{/* The variables that are not secret, as YAML: variable → value. */}}
{{- define "hello-api.plainVariables" -}}
{{- $variables := dict }}
{{- range $variable, $value := .Values.variables }}
{{- if $value }}
{{- $_ := set $variables $variable $value }}
{{- end }}
{{- end }}
{{- if .Values.host.postgresCertificate.existingSecret }}
{{- $_ := set $variables "database_url" (include "hello-api.databaseUrlWithCertificate" .) }}
{{- end }}
{{- toYaml $variables }}
{{- end }}

{{- define "hello-api.databaseUrlWithCertificate" -}}
{{- $url := .Values.variables.database_url }}
{{- $url }}{{ contains "?" $url | ternary "&" "?" }}sslcert=/etc/birthday/postgres-certificate/tls.crt&sslkey=/etc/birthday/postgres-certificate/tls.key
{{- end }}

{{/* Where the host stores birthdays without Postgres. Empty if it is in a Secret. */}}
{{- define "hello-api.keyValue" -}}
{{- if eq .Values.store "sqlite" -}}
sqlite:/data/birthday.db
{{- else if eq .Values.store "dynamodb" }}
{{- include "hello-api.dynamodbAddress" . }}
{{- else if ne .Values.store "redis" -}}
memory
{{- else if not .Values.redis.existingSecret.urlKey }}
{{- include "hello-api.redisAddress" . }}
{{- end }}
{{- end }}

{{- define "hello-api.dynamodbAddress" -}}
{{- $parameters := list }}
{{- with .Values.dynamodb.region | default (.Values.dynamodb.local.enabled | ternary "local" "") }}
{{- $parameters = append $parameters (printf "region=%s" .) }}
{{- end }}
{{- with .Values.dynamodb.endpoint | default (.Values.dynamodb.local.enabled | ternary (printf "http://%s-dynamodb:8000" (include "hello-api.fullname" .)) "") }}
{{- $parameters = append $parameters (printf "endpoint=%s" .) }}
{{- end }}
{{- if .Values.dynamodb.createTable }}
{{- $parameters = append $parameters "create=true" }}
{{- end }}
{{- printf "dynamodb:%s%s" .Values.dynamodb.table (empty $parameters | ternary "" (printf "?%s" (join "&" $parameters))) }}
{{- end }}

{{- define "hello-api.redisAddress" -}}
{{- with .Values.redis }}
{{- if .url }}
{{- .url }}
{{- else }}
{{- $user := .username | empty | ternary "" (printf "%s@" .username) }}
{{- $parameters := list }}
{{- if .cluster }}{{ $parameters = append $parameters "cluster=true" }}{{ end }}
{{- with .sentinel }}{{ $parameters = append $parameters (printf "sentinel=%s" .) }}{{ end }}
{{- with .replicas }}{{ $parameters = append $parameters (printf "replicas=%v" .) }}{{ end }}
{{- with .existingSecret.passwordKey }}{{ $parameters = append $parameters "password_file=/etc/birthday/redis/password" }}{{ end }}
{{- .tls | ternary "rediss" "redis" }}://{{ $user }}{{ join "," .hosts }}
{{- with .database }}/{{ . }}{{ end }}
{{- with $parameters }}?{{ join "&" . }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ports of the database, DynamoDB or Redis, as YAML: a list. */}}
{{- define "hello-api.storePorts" -}}
{{- $ports := list }}
{{- with .Values.networkPolicy.databasePort }}
{{- $ports = list . }}
{{- end }}
{{- if eq .Values.store "dynamodb" }}
{{- if not $ports }}
{{- $ports = list (include "hello-api.portOf" (list .Values.dynamodb.endpoint (hasPrefix "http:" .Values.dynamodb.endpoint | ternary 80 443)) | int) }}
{{- end }}
{{- if not .Values.dynamodb.existingSecret.name }}
{{- /* STS, which gives credentials for a role. */}}
{{- $ports = append $ports 443 }}
{{- end }}
{{- else if eq .Values.store "redis" }}
{{- $isSentinel := or (not (empty .Values.redis.sentinel)) (contains "sentinel=" .Values.redis.url) }}
{{- if or $isSentinel (not $ports) }}
{{- range .Values.redis.hosts | default (splitList "," .Values.redis.url) }}
{{- $ports = append $ports (include "hello-api.portOf" (list . ($isSentinel | ternary 26379 6379)) | int) }}
{{- end }}
{{- if and $isSentinel (not $.Values.networkPolicy.databasePort) }}
{{- $ports = append $ports 6379 }}
{{- end }}
{{- end }}
{{- end }}
{{- $ports | default (list 5432) | uniq | toYaml }}
{{- end }}

{{/* The port of a URL or of `name:port`, or a default. */}}
{{- define "hello-api.portOf" -}}
{{- $found := regexFind ":[0-9]+([/?]|$)" (first .) }}
{{- $found | empty | ternary (last .) (regexFind "[0-9]+" $found) }}
{{- end }}

{{- define "hello-api.drainDelay" -}}
{{- kindIs "invalid" .Values.host.drainDelaySeconds | ternary 5 .Values.host.drainDelaySeconds }}
{{- end }}

{{- define "hello-api.shutdownGrace" -}}
{{- kindIs "invalid" .Values.host.shutdownGraceSeconds | ternary 25 .Values.host.shutdownGraceSeconds }}
{{- end }}

{{- define "hello-api.tlsSecret" -}}
{{- if .Values.host.tls.certificate.enabled }}
{{- printf "%s-tls" (include "hello-api.fullname" .) }}
{{- else }}
{{- .Values.host.tls.existingSecret }}
{{- end }}
{{- end }}

{{- define "hello-api.servicePort" -}}
{{- .Values.service.port | default 80 }}
{{- end }}

{{/* The port of the container that receives requests. */}}
{{- define "hello-api.containerPort" -}}
{{- eq .Values.runtime "host" | ternary 8080 80 }}
{{- end }}

{{- define "hello-api.dynamodbImage" -}}
{{- with .Values.dynamodb.local.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hello-api.testImage" -}}
{{- with .Values.tests.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository .tag }}
{{- end }}
{{- end }}
{{- end }}

{{/* Checks that a schema cannot make, or only with messages that are hard to understand. */}}
{{- define "hello-api.check" -}}
{{- $values := .Values }}
{{- $secret := include "hello-api.secretVariables" . | fromYaml }}
{{- $sources := list }}
{{- range $name, $on := dict "existingSecret" $values.existingSecret.name "externalSecret" $values.externalSecret.enabled "secretProviderClass" $values.secretProviderClass.name "vault" $values.vault.enabled }}
{{- if $on }}{{ $sources = append $sources $name }}{{ end }}
{{- end }}
{{- if gt (len $sources) 1 }}
{{- fail (printf "%s: only one of them may give the secret variables" (join ", " (sortAlpha $sources))) }}
{{- end }}
{{- if and $values.existingSecret.keys (not $values.existingSecret.name) }}
{{- fail "existingSecret.name: must be set where existingSecret.keys is" }}
{{- end }}
{{- if and $values.secretProviderClass.files (not $values.secretProviderClass.name) }}
{{- fail "secretProviderClass.name: must be set where secretProviderClass.files is" }}
{{- end }}
{{- if and $values.secretProviderClass.name (not $values.secretProviderClass.files) }}
{{- fail "secretProviderClass.files: must name the file of each variable" }}
{{- end }}
{{- if and $values.secretProviderClass.name (eq (toString $values.secretsAsFiles) "false") }}
{{- fail "secretsAsFiles: must not be false with secretProviderClass, which only has files" }}
{{- end }}
{{- $secret = merge $secret $values.secretProviderClass.files }}
{{- range $variable, $value := $values.variables }}
{{- if and $value (hasKey $secret $variable) }}
{{- fail (printf "variables.%s: comes from a Secret already" $variable) }}
{{- end }}
{{- end }}
{{- $database := or $values.variables.database_url (hasKey $secret "database_url") }}
{{- if and (eq $values.store "postgres") (not $database) }}
{{- fail "variables.database_url: must be set with store: postgres, here or from a Secret" }}
{{- end }}
{{- if and (ne $values.store "postgres") $database }}
{{- fail (printf "store: must be postgres where database_url is set, and is %s" $values.store) }}
{{- end }}
{{- with $values.host.postgresCa }}
{{- if and .configMap .existingSecret }}
{{- fail "host.postgresCa.existingSecret: must be empty with host.postgresCa.configMap" }}
{{- end }}
{{- if and .key (not (or .configMap .existingSecret)) }}
{{- fail "host.postgresCa.key: needs host.postgresCa.configMap or host.postgresCa.existingSecret" }}
{{- end }}
{{- end }}
{{- include "hello-api.checkStores" (list . $secret) }}
{{- include "hello-api.checkPostgresLogin" (list . $secret) }}
{{- if and $values.autoscaling.enabled (lt (int $values.autoscaling.maxReplicas) (int $values.autoscaling.minReplicas)) }}
{{- fail "autoscaling.maxReplicas: must not be less than autoscaling.minReplicas" }}
{{- end }}
{{- if and $values.keda.enabled (lt (int $values.keda.maxReplicas) (int $values.keda.minReplicas)) }}
{{- fail "keda.maxReplicas: must not be less than keda.minReplicas" }}
{{- end }}
{{- if and $values.autoscaling.enabled (eq (int $values.autoscaling.minReplicas) 0) }}
{{- $seenWithoutPods := false }}
{{- range $values.autoscaling.metrics }}
{{- $seenWithoutPods = or $seenWithoutPods (has .type (list "Object" "External")) }}
{{- end }}
{{- if not $seenWithoutPods }}
{{- fail "autoscaling.minReplicas: 0 needs a metric of type Object or External in autoscaling.metrics, because no other is there without pods" }}
{{- end }}
{{- end }}
{{- if and $values.autoscaling.enabled (not (or $values.autoscaling.targetCPUUtilizationPercentage $values.autoscaling.targetMemoryUtilizationPercentage $values.autoscaling.metrics)) }}
{{- fail "autoscaling: needs targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" }}
{{- end }}
{{- include "hello-api.checkRollout" . }}
{{- end }}

{{- define "hello-api.checkRollout" -}}
{{- with .Values.rollout }}
{{- if .enabled }}
{{- $before := 0 }}
{{- range .steps }}
{{- if le (int .weight) $before }}
{{- fail (printf "rollout.steps: each weight must be greater than the one before, and %d follows %d" (int .weight) $before) }}
{{- end }}
{{- $before = int .weight }}
{{- end }}
{{- if and .analysis.enabled (ge (int .analysis.failureLimit) (int .analysis.count)) }}
{{- fail "rollout.analysis.failureLimit: must be less than rollout.analysis.count, or the analysis never fails" }}
{{- end }}
{{- if and (eq .trafficRouting "gateway") (not (include "hello-api.routesToVersions" $)) }}
{{- fail "httpRoute.rules: with rollout.trafficRouting: gateway one must be without backendRefs, so that it leads to both versions" }}
{{- end }}
{{- if and (has .trafficRouting (list "alb" "nginx")) (not $.Values.ingress.className) }}
{{- fail "ingress.className: must name the class with rollout.trafficRouting, as another one ignores the weights" }}
{{- end }}
{{- if and (eq (int $.Values.autoscaling.minReplicas) 0) $.Values.autoscaling.enabled }}
{{- fail "autoscaling.minReplicas: must not be 0 with rollout: without pods there is nothing to measure" }}
{{- end }}
{{- if and (eq (int $.Values.keda.minReplicas) 0) $.Values.keda.enabled }}
{{- fail "keda.minReplicas: must not be 0 with rollout: without pods there is nothing to measure" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Not empty if a rule of the HTTPRoute leads to the Services of the chart. */}}
{{- define "hello-api.routesToVersions" -}}
{{- range .Values.httpRoute.rules }}
{{- $redirects := false }}
{{- range .filters }}{{ if eq .type "RequestRedirect" }}{{ $redirects = true }}{{ end }}{{ end }}
{{- if not (or .backendRefs $redirects) }}true{{ end }}
{{- end }}
{{- end }}

{{/* Checks of what belongs to one store. The list has the root, and the secret variables. */}}
{{- define "hello-api.checkStores" -}}
{{- $values := (first .).Values }}
{{- $secret := last . }}
{{- $store := $values.store }}
{{- $isSpin := eq $values.runtime "spinapp" }}

{{- /* A setting of another store would be ignored. */}}
{{- $settings := dict
  "sqlite" (dict
    "persistence.existingClaim" $values.persistence.existingClaim
    "persistence.storageClass" $values.persistence.storageClass)
  "postgres" (dict
    "database_password" (get $secret "database_password")
    "host.postgresSharing" $values.host.postgresSharing
    "host.postgresStatements" $values.host.postgresStatements
    "host.postgresAuth" $values.host.postgresAuth
    "host.postgresCertificate.existingSecret" $values.host.postgresCertificate.existingSecret
    "host.postgresCa.configMap" $values.host.postgresCa.configMap
    "host.postgresCa.existingSecret" $values.host.postgresCa.existingSecret)
  "dynamodb" (dict
    "dynamodb.table" $values.dynamodb.table
    "dynamodb.region" $values.dynamodb.region
    "dynamodb.endpoint" $values.dynamodb.endpoint
    "dynamodb.createTable" $values.dynamodb.createTable
    "dynamodb.existingSecret.name" $values.dynamodb.existingSecret.name
    "dynamodb.local.enabled" $values.dynamodb.local.enabled)
  "redis" (dict
    "redis.url" $values.redis.url
    "redis.hosts" $values.redis.hosts
    "redis.username" $values.redis.username
    "redis.database" $values.redis.database
    "redis.tls" $values.redis.tls
    "redis.cluster" $values.redis.cluster
    "redis.sentinel" $values.redis.sentinel
    "redis.replicas" $values.redis.replicas
    "redis.existingSecret.name" $values.redis.existingSecret.name) }}
{{- range $of, $own := $settings }}
{{- range $name, $value := $own }}
{{- if and $value (ne $store $of) }}
{{- fail (printf "%s: is for store: %s, and store is %s" $name $of $store) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $isSpin (has $store (list "dynamodb" "redis")) }}
{{- range $name, $value := $values.spinapp.runtimeConfig }}
{{- if $value }}
{{- fail (printf "spinapp.runtimeConfig.%s: is for store: keyValue, and store is %s" $name $store) }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq $store "dynamodb" }}{{ include "hello-api.checkDynamodb" (first .) }}{{ end }}
{{- if eq $store "redis" }}{{ include "hello-api.checkRedis" (first .) }}{{ end }}
{{- end }}

{{/* Checks of how the host logs in to Postgres. The list has the root, and the secret variables. */}}
{{- define "hello-api.checkPostgresLogin" -}}
{{- $values := (first .).Values }}
{{- $secret := last . }}
{{- $url := $values.variables.database_url }}
{{- if eq $values.host.postgresAuth "aws-iam" }}
{{- if hasKey $secret "database_password" }}
{{- fail "database_password: must not be set with host.postgresAuth: aws-iam, which has no password" }}
{{- end }}
{{- if and $url (not (regexMatch "[?&]sslmode=(verify-full|verify-ca|require)(&|$)" $url)) }}
{{- fail "variables.database_url: must have sslmode=verify-full with host.postgresAuth: aws-iam" }}
{{- end }}
{{- end }}
{{- if $values.host.postgresCertificate.existingSecret }}
{{- if not $url }}
{{- fail "host.postgresCertificate.existingSecret: needs variables.database_url; one from a Secret must name files of its own" }}
{{- end }}
{{- if regexMatch "[?&](sslcert|sslkey)=" $url }}
{{- fail "variables.database_url: must not have sslcert or sslkey with host.postgresCertificate, which adds them" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hello-api.checkDynamodb" -}}
{{- $dynamodb := .Values.dynamodb }}
{{- $role := get .Values.serviceAccount.annotations "eks.amazonaws.com/role-arn" }}
{{- if not $dynamodb.table }}
{{- fail "dynamodb.table: must be set with store: dynamodb" }}
{{- end }}
{{- if eq .Values.runtime "spinapp" }}
{{- if not $dynamodb.region }}
{{- fail "dynamodb.region: must be set with SpinApp" }}
{{- end }}
{{- range $name, $value := dict "endpoint" $dynamodb.endpoint "createTable" $dynamodb.createTable "existingSecret.name" $dynamodb.existingSecret.name "local.enabled" $dynamodb.local.enabled }}
{{- if $value }}
{{- fail (printf "dynamodb.%s: a SpinApp cannot have it; see docs/key-value.md" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $dynamodb.local.enabled }}
{{- range $name, $value := dict "endpoint" $dynamodb.endpoint "existingSecret.name" $dynamodb.existingSecret.name }}
{{- if $value }}
{{- fail (printf "dynamodb.%s: must be empty with dynamodb.local.enabled, which has its own" $name) }}
{{- end }}
{{- end }}
{{- if $role }}
{{- fail "serviceAccount.annotations: a role of AWS is not for dynamodb.local.enabled" }}
{{- end }}
{{- end }}
{{- if and $dynamodb.createTable (not $dynamodb.local.enabled) }}
{{- if or (not $dynamodb.endpoint) (regexMatch "\\.(amazonaws\\.com|api\\.aws)" $dynamodb.endpoint) }}
{{- fail "dynamodb.createTable: is for development, and must be false at AWS: create the table before" }}
{{- end }}
{{- end }}
{{- if and $role $dynamodb.existingSecret.name }}
{{- fail "dynamodb.existingSecret.name: its keys would be used instead of the role of the ServiceAccount" }}
{{- end }}
{{- range $name, $value := omit $dynamodb.existingSecret "name" }}
{{- if and $value (not $dynamodb.existingSecret.name) }}
{{- fail (printf "dynamodb.existingSecret.name: must be set where dynamodb.existingSecret.%s is" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hello-api.checkRedis" -}}
{{- $redis := .Values.redis }}
{{- $from := $redis.existingSecret }}
{{- $parts := dict "hosts" $redis.hosts "username" $redis.username "database" $redis.database "tls" $redis.tls "cluster" $redis.cluster "sentinel" $redis.sentinel "replicas" $redis.replicas "existingSecret.passwordKey" $from.passwordKey }}
{{- if not (or $redis.url $redis.hosts $from.urlKey) }}
{{- fail "redis.hosts: must be set with store: redis, or redis.url, or redis.existingSecret.urlKey" }}
{{- end }}
{{- if and $redis.url $from.urlKey }}
{{- fail "redis.url: must be empty with redis.existingSecret.urlKey, which names the whole address" }}
{{- end }}
{{- range $whole := list (ternary "redis.url" "" (not (empty $redis.url))) (ternary "redis.existingSecret.urlKey" "" (not (empty $from.urlKey))) }}
{{- range $name, $value := $parts }}
{{- if and $whole $value }}
{{- fail (printf "redis.%s: must be empty with %s, which has the whole address" $name $whole) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (or $from.passwordKey $from.urlKey) (not $from.name) }}
{{- fail "redis.existingSecret.name: must be set where one of its keys is" }}
{{- end }}
{{- if and $from.name (not (or $from.passwordKey $from.urlKey)) }}
{{- fail "redis.existingSecret.passwordKey: must be set with redis.existingSecret.name, or urlKey" }}
{{- end }}
{{- if and $redis.username (not $from.passwordKey) }}
{{- fail "redis.username: needs a password, by redis.existingSecret.passwordKey" }}
{{- end }}
{{- if and $redis.cluster $redis.sentinel }}
{{- fail "redis.sentinel: must be empty with redis.cluster: a cluster has no sentinels" }}
{{- end }}
{{- if and (gt (len $redis.hosts) 1) (not (or $redis.cluster $redis.sentinel)) }}
{{- fail "redis.hosts: several need redis.cluster or redis.sentinel" }}
{{- end }}
{{- if and $redis.cluster $redis.database }}
{{- fail "redis.database: must be 0 with redis.cluster, which has no other" }}
{{- end }}
{{- if and $redis.cluster $redis.replicas }}
{{- fail "redis.replicas: cannot be waited for with redis.cluster" }}
{{- end }}
{{- if eq .Values.runtime "spinapp" }}
{{- range $name, $value := dict "cluster" $redis.cluster "sentinel" $redis.sentinel "replicas" $redis.replicas }}
{{- if $value }}
{{- fail (printf "redis.%s: a SpinApp cannot have it; see docs/key-value.md" $name) }}
{{- end }}
{{- end }}
{{- if $from.passwordKey }}
{{- fail "redis.existingSecret.passwordKey: a SpinApp needs the whole address in the Secret, by urlKey" }}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if and .enabled (not (or .databaseTo .extraEgress)) }}
{{- fail "networkPolicy.databaseTo: must name the peers with Redis" }}
{{- end }}
{{- end }}
{{- end }}

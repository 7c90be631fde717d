{{/* The pods of birthday-host: the field `template` in the `spec` of a Deployment or a Rollout, indented as there. */}}
{{- define "hello-api.podTemplate" -}}
{{- $tlsSecret := include "hello-api.tlsSecret" . }}
{{- $secretVariables := include "hello-api.secretVariables" . | fromYaml }}
{{- $variableFiles := include "hello-api.variableFiles" . | fromYaml }}
{{- $hasPostgresCa := or .Values.host.postgresCa.configMap .Values.host.postgresCa.existingSecret }}
{{- $postgresCertificate := .Values.host.postgresCertificate.existingSecret }}
{{- $keys := .Values.dynamodb.existingSecret }}
{{- $redisSecret := .Values.redis.existingSecret }}
  template:
    metadata:
      labels:
        {{- include "hello-api.labels" . | nindent 8 }}
        app.kubernetes.io/component: api
        {{- with .Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "hello-api.serviceAccountName" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      # The drain delay, the shutdown grace, and 5 seconds more, so that the pod is not killed before it has finished.
      terminationGracePeriodSeconds: {{ add (include "hello-api.drainDelay" .) (include "hello-api.shutdownGrace" .) 5 }}
      securityContext:
        {{- $podSecurityContext := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "seccompProfile" (dict "type" "RuntimeDefault") }}
        {{- if eq .Values.store "sqlite" }}
        {{- $_ := set $podSecurityContext "fsGroup" 65532 }}
        {{- $_ := set $podSecurityContext "fsGroupChangePolicy" "OnRootMismatch" }}
        {{- end }}
        {{- toYaml (mergeOverwrite $podSecurityContext .Values.podSecurityContext) | nindent 8 }}
      {{- with .Values.initContainers }}
      initContainers:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: birthday-host
          image: {{ include "hello-api.image" . | quote }}
          imagePullPolicy: {{ .Values.image.pullPolicy | default "IfNotPresent" }}
          securityContext:
            {{- $securityContext := dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) "privileged" false "readOnlyRootFilesystem" true }}
            {{- toYaml (mergeOverwrite $securityContext .Values.securityContext) | nindent 12 }}
          envFrom:
            - configMapRef:
                name: {{ include "hello-api.fullname" . }}
          {{- if or $secretVariables $variableFiles $keys.name $redisSecret.urlKey .Values.extraEnv }}
          env:
            {{- with $keys.name }}
            - name: AWS_ACCESS_KEY_ID
              valueFrom:
                secretKeyRef:
                  name: {{ . }}
                  key: {{ $keys.accessKeyIdKey | default "AWS_ACCESS_KEY_ID" }}
            - name: AWS_SECRET_ACCESS_KEY
              valueFrom:
                secretKeyRef:
                  name: {{ . }}
                  key: {{ $keys.secretAccessKeyKey | default "AWS_SECRET_ACCESS_KEY" }}
            {{- with $keys.sessionTokenKey }}
            - name: AWS_SESSION_TOKEN
              valueFrom:
                secretKeyRef:
                  name: {{ $keys.name }}
                  key: {{ . }}
            {{- end }}
            {{- end }}
            {{- with $redisSecret.urlKey }}
            - name: BIRTHDAY_KEY_VALUE
              valueFrom:
                secretKeyRef:
                  name: {{ $redisSecret.name }}
                  key: {{ . }}
            {{- end }}
            {{- range $variable, $file := $variableFiles }}
            - name: {{ printf "SPIN_VARIABLE_%s_FILE" (upper $variable) }}
              value: {{ $file }}
            {{- else }}
            {{- range $variable, $from := $secretVariables }}
            - name: {{ printf "SPIN_VARIABLE_%s" (upper $variable) }}
              valueFrom:
                secretKeyRef:
                  name: {{ $from.name }}
                  key: {{ $from.key }}
            {{- end }}
            {{- end }}
            {{- with .Values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- end }}
          ports:
            - name: {{ empty $tlsSecret | ternary "http" "https" }}
              containerPort: {{ include "hello-api.containerPort" . }}
              protocol: TCP
            - name: admin
              containerPort: 9901
              protocol: TCP
          startupProbe:
            {{- $startup := dict "httpGet" (dict "path" "/startupz" "port" "admin") "periodSeconds" 1 "timeoutSeconds" 2 "failureThreshold" 60 }}
            {{- toYaml (mergeOverwrite $startup (.Values.probes.startup | default dict)) | nindent 12 }}
          readinessProbe:
            {{- $readiness := dict "httpGet" (dict "path" "/readyz" "port" "admin") "periodSeconds" 5 "timeoutSeconds" 2 "failureThreshold" 2 }}
            {{- toYaml (mergeOverwrite $readiness (.Values.probes.readiness | default dict)) | nindent 12 }}
          # It does not check the database: a restart would not repair the database.
          livenessProbe:
            {{- $liveness := dict "httpGet" (dict "path" "/livez" "port" "admin") "periodSeconds" 10 "timeoutSeconds" 2 "failureThreshold" 3 }}
            {{- toYaml (mergeOverwrite $liveness (.Values.probes.liveness | default dict)) | nindent 12 }}
          resources:
            {{- include "hello-api.resources" . | nindent 12 }}
          {{- if or (eq .Values.store "sqlite") $hasPostgresCa $postgresCertificate $tlsSecret $variableFiles $redisSecret.passwordKey .Values.extraVolumeMounts }}
          volumeMounts:
            {{- if eq .Values.store "sqlite" }}
            - name: data
              mountPath: /data
            {{- end }}
            {{- if $hasPostgresCa }}
            - name: postgres-ca
              mountPath: /etc/birthday/postgres-ca
              readOnly: true
            {{- end }}
            {{- if $postgresCertificate }}
            - name: postgres-certificate
              mountPath: /etc/birthday/postgres-certificate
              readOnly: true
            {{- end }}
            {{- if $tlsSecret }}
            - name: tls
              mountPath: /etc/birthday/tls
              readOnly: true
            {{- end }}
            {{- if $variableFiles }}
            - {{ include "hello-api.variablesMount" . | indent 14 | trim }}
            {{- end }}
            {{- if $redisSecret.passwordKey }}
            - name: redis
              mountPath: /etc/birthday/redis
              readOnly: true
            {{- end }}
            {{- with .Values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- end }}
        {{- with .Values.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or (eq .Values.store "sqlite") $hasPostgresCa $postgresCertificate $tlsSecret $variableFiles $redisSecret.passwordKey .Values.extraVolumes }}
      volumes:
        {{- if eq .Values.store "sqlite" }}
        - name: data
          persistentVolumeClaim:
            claimName: {{ .Values.persistence.existingClaim | default (include "hello-api.fullname" .) }}
        {{- end }}
        {{- with .Values.host.postgresCa }}
        {{- if $hasPostgresCa }}
        - name: postgres-ca
          {{- if .configMap }}
          configMap:
            name: {{ .configMap }}
          {{- else }}
          secret:
            secretName: {{ .existingSecret }}
          {{- end }}
            items:
              - key: {{ .key | default "ca.crt" }}
                path: ca.crt
        {{- end }}
        {{- end }}
        {{- with $postgresCertificate }}
        - name: postgres-certificate
          secret:
            secretName: {{ . }}
            items:
              - key: tls.crt
                path: tls.crt
              - key: tls.key
                path: tls.key
        {{- end }}
        {{- if $tlsSecret }}
        - name: tls
          secret:
            secretName: {{ $tlsSecret }}
        {{- end }}
        {{- if $variableFiles }}
        - {{ include "hello-api.variablesVolume" . | indent 10 | trim }}
        {{- end }}
        {{- with $redisSecret.passwordKey }}
        - name: redis
          secret:
            secretName: {{ $redisSecret.name }}
            items:
              - key: {{ . }}
                path: password
        {{- end }}
        {{- with .Values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if kindIs "invalid" .Values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          # Only the pods of this rollout count, not those that it replaces.
          matchLabelKeys:
            - {{ include "hello-api.podHashLabel" $ }}
          labelSelector:
            matchLabels:
              {{- include "hello-api.selector" $ | nindent 14 }}
        {{- end }}
      {{- else }}
      {{- with .Values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- range . }}
        {{- $constraint := hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" (dict "matchLabels" (include "hello-api.selector" $ | fromYaml))) .) }}
        {{- if and $.Values.rollout.enabled (has "pod-template-hash" (.matchLabelKeys | default list)) }}
        {{- /* The pods of a Rollout do not have the label of a Deployment's. */}}
        {{- $constraint = merge (dict "matchLabelKeys" (append (without .matchLabelKeys "pod-template-hash") (include "hello-api.podHashLabel" $))) $constraint }}
        {{- end }}
        - {{- toYaml $constraint | nindent 10 }}
        {{- end }}
      {{- end }}
      {{- end }}
{{- end }}

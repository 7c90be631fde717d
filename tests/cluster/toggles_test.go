package cluster

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A toggle of hello-api, with the objects that it adds to those of the plain release, and the one that it takes away.
type toggle struct {
	name   string
	values string
	adds   []string
	lacks  string
}

var both = []toggle{
	{"Ingress", "ingress: {enabled: true, className: alb, hosts: [hello.example.com], tls: [{secretName: tls, hosts: [hello.example.com]}]}", []string{"Ingress/hello-api"}, ""},
	{"HTTPRoute", "httpRoute: {enabled: true, parentRefs: [{name: public-gateway, namespace: gateway, sectionName: https}], hostnames: [hello.example.com]}", []string{"HTTPRoute/hello-api"}, ""},
	{"HTTPRoute that redirects", `
httpRoute:
  enabled: true
  parentRefs: [{name: public-gateway, sectionName: http}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]}]`, []string{"HTTPRoute/hello-api"}, ""},
	{"HorizontalPodAutoscaler", "autoscaling: {enabled: true, targetMemoryUtilizationPercentage: 80}", []string{"HorizontalPodAutoscaler/hello-api"}, ""},
	{"ScaledObject", `
keda:
  enabled: true
  behavior: {scaleDown: {stabilizationWindowSeconds: 60}}
  triggers: [{type: prometheus, metadata: {serverAddress: "http://prometheus.monitoring:9090", query: "sum(rate(http_requests_total[1m]))", threshold: "100"}}]`, []string{"ScaledObject/hello-api"}, ""},
	{"NetworkPolicy", `
networkPolicy:
  enabled: true
  namespaceDefaultDeny: true
  from: [{ipBlock: {cidr: 10.0.0.0/20}}]
  prometheusFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  databaseTo: [{ipBlock: {cidr: 10.0.64.0/20}}]
  otlpTo: [{namespaceSelector: {}}]
  extraEgress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 443, protocol: TCP}]}]`, []string{"NetworkPolicy/hello-api", "NetworkPolicy/hello-api-default-deny"}, ""},
	{"no PodDisruptionBudget", "podDisruptionBudget: {enabled: false}", nil, "PodDisruptionBudget/hello-api"},
	{"ExternalSecret", `
existingSecret: {name: "", keys: null}
externalSecret:
  enabled: true
  secretStoreRef: {name: aws-secrets-manager, kind: ClusterSecretStore}
  data: {database_password: {key: birthday/database, property: password}}`, []string{"ExternalSecret/hello-api"}, ""},
	{"VaultStaticSecret", `
existingSecret: {name: "", keys: null}
vault: {enabled: true, authRef: default, path: birthday/database, keys: {database_password: password}}`, []string{"VaultStaticSecret/hello-api"}, ""},
	{"ResourceQuota and LimitRange", "resourceQuota: {enabled: true}\nlimitRange: {enabled: true}", []string{"LimitRange/hello-api", "ResourceQuota/hello-api"}, ""},
	{"extra objects", `
extraObjects:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ .Release.Name }}-extra"}, data: {key: value}}`, []string{"ConfigMap/hello-api-extra"}, ""},
}

var hostOnly = []toggle{
	{"ServiceMonitor", "serviceMonitor: {enabled: true, labels: {release: prometheus}}", []string{"ServiceMonitor/hello-api"}, ""},
	{"PrometheusRule", "prometheusRule: {enabled: true}", []string{"PrometheusRule/hello-api"}, ""},
	{"dashboard", "dashboard: {enabled: true}", []string{"ConfigMap/hello-api-dashboard"}, ""},
	{"SQLite on a volume", "store: sqlite\nvariables: {database_url: \"\"}\nexistingSecret: {name: \"\", keys: null}", []string{"PersistentVolumeClaim/hello-api"}, ""},
	{"TLS by cert-manager", "host: {tls: {certificate: {enabled: true, issuerRef: {name: ca, kind: ClusterIssuer}}}}", []string{"Certificate/hello-api"}, ""},
	{"LoadBalancer", "service: {type: LoadBalancer, externalTrafficPolicy: Local, loadBalancerClass: service.k8s.aws/nlb, trafficDistribution: PreferClose}", nil, ""},
	{"NodePort", "service: {type: NodePort, nodePort: 30080}", nil, ""},
	{"settings of the host", `
host: {threads: 4, requestTimeout: 5s, maxInFlight: 100, maxConnections: 1000, memoryLimit: 32MiB, idleTimeout: 30s, postgresSharing: exclusive, log: debug, postgresCa: {configMap: rds-ca}}
otel: {endpoint: "http://otel-collector.monitoring:4318", sampler: parentbased_traceidratio, samplerArg: "0.05"}`, nil, ""},
	{"placement", `
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: spot, operator: Exists}]
affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}}]}}
priorityClassName: system-cluster-critical
topologySpreadConstraints: []`, nil, ""},
}

var spinOnly = []toggle{
	{"executor of its own, with traces", "otel: {endpoint: \"http://otel-collector.monitoring:4318\"}", nil, ""},
	{"runtime configuration by a Secret", "spinapp: {runtimeConfig: {loadFromSecret: runtime-config}}", nil, ""},
	{"key-value store in Redis", `
store: keyValue
variables: {database_url: ""}
existingSecret: {name: "", keys: null}
spinapp: {runtimeConfig: {keyValueStores: [{name: default, type: redis, options: [{name: url, value: "redis://redis:6379"}]}]}}`, nil, ""},
	{"memory of an invocation", "spinapp: {invocationLimits: {memory: 64Mi}}", nil, ""},
	{"checks of one's own", "spinapp: {checks: {readiness: {httpGet: {path: /health, httpHeaders: [{name: X-Check, value: readiness}]}}}}", nil, ""},
	{"volume", "extraVolumes: [{name: scratch, emptyDir: {}}]\nextraVolumeMounts: [{name: scratch, mountPath: /scratch}]", nil, ""},
}

// everything turns on as much of hello-api as one release can have.
const everything = `
ingress: {enabled: true}
httpRoute: {enabled: true, parentRefs: [{name: public-gateway}]}
autoscaling: {enabled: true}
networkPolicy: {enabled: true, namespaceDefaultDeny: true}
serviceMonitor: {enabled: true}
prometheusRule: {enabled: true}
dashboard: {enabled: true}
resourceQuota: {enabled: true}
limitRange: {enabled: true}
`

// Helm applies with strict field validation: the server refuses an object with a field that its kind does not have (next test).
func TestEveryToggleIsAcceptedByTheServer(t *testing.T) {
	type release struct {
		runtime, level, values string
		plain                  []string
		toggles                []toggle
	}
	releases := []release{
		{"host", "restricted", onPostgres, []string{"ConfigMap/hello-api", "Deployment/hello-api", "PodDisruptionBudget/hello-api", "Service/hello-api", "Service/hello-api-metrics", "ServiceAccount/hello-api"}, slices.Concat(both, hostOnly)},
		{"spinapp", "baseline", spinValues, []string{"PodDisruptionBudget/hello-api", "ServiceAccount/hello-api", "SpinApp/hello-api", "SpinAppExecutor/hello-api"}, slices.Concat(both, spinOnly)},
	}
	for _, release := range releases {
		seen := make([][]string, len(release.toggles))
		t.Run(release.runtime, func(t *testing.T) {
			for i, toggle := range release.toggles {
				t.Run(toggle.name, func(t *testing.T) {
					t.Parallel()
					space := namespace(t, "app-space", release.level)
					helm(t, withValues(t, []string{release.values, toggle.values}, "install", "hello-api", chart("hello-api"), "-n", space)...)
					seen[i] = written(t, space)
					for _, object := range slices.Concat(release.plain, toggle.adds) {
						if object != toggle.lacks && !slices.Contains(seen[i], object) {
							t.Errorf("expected %s, seen %v", object, seen[i])
						}
					}
					if slices.Contains(seen[i], toggle.lacks) {
						t.Errorf("expected no %s, seen %v", toggle.lacks, seen[i])
					}
					// The pods are admitted and scheduled.
					waitForDeployment(t, space, 0)
				})
			}
		})
		for i, toggle := range release.toggles {
			report.note("Toggles that the server accepts with strict field validation, and whose pods it lets in", "%s, %s: %s", release.runtime, toggle.name, strings.Join(seen[i], ", "))
		}
	}
}

// written lists the objects of a release that are in its manifest, as kind/name.
func written(t *testing.T, space string) []string {
	t.Helper()
	return slices.DeleteFunc(names(objectsOf(t, space, "app.kubernetes.io/managed-by=Helm")), func(name string) bool {
		kind, _, _ := strings.Cut(name, "/")
		return slices.Contains([]string{"Pod", "ReplicaSet", "EndpointSlice", "ControllerRevision"}, kind)
	})
}

func TestUnknownFieldIsRefusedByTheServer(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	_, err := cluster.Helm("install", "hello-api", chart("hello-api"), "-n", space, "-f", values(t, `
extraObjects:
  - {apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: extra}, spec: {maxUnavailabel: 1, selector: {matchLabels: {a: b}}}}
`))
	refused(t, "a built-in kind with a misspelt field", err, "maxUnavailabel")
	_, err = cluster.Helm("install", "hello-api-two", chart("hello-api"), "-n", space, "-f", values(t, `
extraObjects:
  - {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: extra}, spec: {parentReferences: []}}
`))
	refused(t, "a custom resource with a field that it does not have", err, "parentReferences")
}

// The pods of `helm test` cannot run here, because there is no kubelet. The test checks that they are admitted.
func TestPodsOfHelmTestAreAdmitted(t *testing.T) {
	for _, runtime := range []struct{ name, level, values string }{{"host", "restricted", onPostgres}, {"spinapp", "baseline", spinValues}} {
		t.Run(runtime.name, func(t *testing.T) {
			space := namespace(t, "app-space", runtime.level)
			install(t, space, runtime.values, "resourceQuota: {enabled: true}\nlimitRange: {enabled: true}")
			admitHooks(t, "hello-api", space)
		})
	}
}

// admitHooks lets the server admit the hooks of a release without storing them, in a namespace that enforces `restricted`.
func admitHooks(t *testing.T, release, space string) {
	t.Helper()
	hooks := helm(t, "get", "hooks", release, "-n", space)
	if !strings.Contains(hooks, "helm.sh/hook: test") {
		t.Fatalf("expected a hook of `helm test`, seen:\n%s", hooks)
	}
	restricted := namespace(t, "restricted", "restricted")
	hooks = strings.ReplaceAll(hooks, "namespace: "+space, "namespace: "+restricted)
	for _, account := range []string{release, release + "-migration"} {
		if _, err := client.CoreV1().ServiceAccounts(restricted).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	report.note("Admitted but not run: there is no kubelet", "%s", strings.TrimSpace(kubectl(t, hooks, "create", "--dry-run=server", "--validate=strict", "-f", "-")))
}

package charts

import (
	"testing"
)

// A change to one object of a rendering, and the rule that must fail.
type mutation struct {
	claim    string
	rule     rule
	scenario string
	// The first object of this kind is changed.
	kind   string
	change func(object)
}

// put sets the value at a path of keys (text) and indices (numbers).
func put(value any, path ...any) func(object) {
	return func(o object) {
		var container any = o.Object
		for _, step := range path[:len(path)-1] {
			container = stepInto(container, step)
		}
		switch last := path[len(path)-1].(type) {
		case string:
			container.(map[string]any)[last] = value
		case int:
			container.([]any)[last] = value
		}
	}
}

func stepInto(container, step any) any {
	switch step := step.(type) {
	case string:
		below, has := container.(map[string]any)[step]
		if !has {
			below = map[string]any{}
			container.(map[string]any)[step] = below
		}
		return below
	default:
		return container.([]any)[step.(int)]
	}
}

// remove deletes the value at a path.
func remove(key string, path ...any) func(object) {
	return func(o object) {
		var container any = o.Object
		for _, step := range path {
			container = stepInto(container, step)
		}
		delete(container.(map[string]any), key)
	}
}

const (
	defaults = "hello-api/values.yaml"
	aws      = "hello-api/values.aws.yaml"
	local    = "hello-api/values.local.yaml"
	spin     = "hello-api/values.spinapp.yaml"
	dynamodb = "hello-api/values.dynamodb.yaml"
	redis    = "hello-api/values.redis.yaml"
	postgres = "postgres-db/values.yaml"

	dynamodbLocal       = "hello-api/values.dynamodb-local.yaml"
	awsIAM              = "hello-api/ci/aws-iam-values.yaml"
	externalSecret      = "hello-api/ci/external-secret-values.yaml"
	postgresCertificate = "hello-api/ci/postgres-certificate-values.yaml"
	canary              = "hello-api/values.rollout.yaml"
	canaryALB           = "hello-api/ci/rollout-alb-values.yaml"
	canaryNginx         = "hello-api/ci/rollout-nginx-values.yaml"
	canaryGateway       = "hello-api/ci/rollout-gateway-values.yaml"
)

var mutations = []mutation{
	{"an account that is root", podsPassPodSecurity, defaults, "Deployment", put(false, "spec", "template", "spec", "securityContext", "runAsNonRoot")},
	{"a container with capabilities", podsPassPodSecurity, defaults, "Deployment", remove("capabilities", "spec", "template", "spec", "containers", 0, "securityContext")},
	{"no seccomp profile in a job", podsPassPodSecurity, postgres, "Job", remove("seccompProfile", "spec", "template", "spec", "securityContext")},
	{"escalation in a test pod", podsPassPodSecurity, defaults, "Pod", remove("allowPrivilegeEscalation", "spec", "containers", 0, "securityContext")},
	{"a SpinApp with a folder of the node", podsPassPodSecurity, spin, "SpinApp", put([]any{map[string]any{"name": "x", "hostPath": map[string]any{"path": "/"}}}, "spec", "volumes")},
	{"a CPU limit", resourcesAreBounded, defaults, "Deployment", put("1", "spec", "template", "spec", "containers", 0, "resources", "limits", "cpu")},
	{"no memory limit", resourcesAreBounded, postgres, "StatefulSet", remove("memory", "spec", "template", "spec", "containers", 0, "resources", "limits")},
	{"no CPU request", resourcesAreBounded, spin, "SpinApp", remove("cpu", "spec", "resources", "requests")},
	{"a root that can be written", rootIsReadOnly, postgres, "StatefulSet", remove("readOnlyRootFilesystem", "spec", "template", "spec", "containers", 0, "securityContext")},
	{"a mounted token", tokensAreNotMounted, defaults, "Deployment", remove("automountServiceAccountToken", "spec", "template", "spec")},
	{"an account with a mounted token", tokensAreNotMounted, defaults, "ServiceAccount", remove("automountServiceAccountToken")},
	{"an image without a tag", imagesHaveVersions, defaults, "Deployment", put("registry:5000/birthday-host", "spec", "template", "spec", "containers", 0, "image")},
	{"an image of whatever version", imagesHaveVersions, spin, "SpinApp", put("birthday:latest", "spec", "image")},
	{"a probe on a port with a typo", probesNamePortsThatAreThere, defaults, "Deployment", put("admni", "spec", "template", "spec", "containers", 0, "readinessProbe", "httpGet", "port")},
	{"no readiness probe", servingPodsHaveProbes, postgres, "StatefulSet", remove("readinessProbe", "spec", "template", "spec", "containers", 0)},
	{"a SpinApp without a check", servingPodsHaveProbes, spin, "SpinApp", remove("liveness", "spec", "checks")},
	{"a name in capitals", namesAreValid, defaults, "ServiceAccount", put("Hello", "metadata", "name")},
	{"a Service that begins with a digit", namesAreValid, defaults, "Service", put("1-hello", "metadata", "name")},
	{"a label that is too long", namesAreValid, defaults, "Deployment", put(tooLong, "spec", "template", "metadata", "labels", "note")},
	{"a SpinApp with too long a name", namesAreValid, spin, "SpinApp", put(tooLong[:53], "metadata", "name")},
	{"a name that is taken", noObjectIsTwice, defaults, "Service", put("hello-api-metrics", "metadata", "name")},
	{"no namespace", namespacesAreTold, defaults, "ConfigMap", remove("namespace", "metadata")},
	{"a namespace of others", namespacesAreTold, postgres, "Service", put("kube-system", "metadata", "namespace")},
	{"no component label", labelsAreComplete, postgres, "Secret", remove("app.kubernetes.io/component", "metadata", "labels")},
	{"pods without a name label", labelsAreComplete, defaults, "Deployment", remove("app.kubernetes.io/name", "spec", "template", "metadata", "labels")},
	{"a selector for no pods", workloadsSelectTheirOwnPods, defaults, "Deployment", put("web", "spec", "selector", "matchLabels", "app.kubernetes.io/component")},
	{"a selector for the test's pods, too", workloadsSelectTheirOwnPods, defaults, "Deployment", remove("app.kubernetes.io/component", "spec", "selector", "matchLabels")},
	{"pods spread by others", workloadsSelectTheirOwnPods, defaults, "Deployment", put("web", "spec", "template", "spec", "topologySpreadConstraints", 0, "labelSelector", "matchLabels", "app.kubernetes.io/name")},
	{"a version in a selector", selectorsAreStable, defaults, "Deployment", put("0.1.0", "spec", "selector", "matchLabels", "app.kubernetes.io/version")},
	{"a Service that leads to no pods", servicesLeadToPods, defaults, "Service", put("web", "spec", "selector", "app.kubernetes.io/component")},
	{"a Service that leads to the test's pods, too", servicesLeadToPods, defaults, "Service", remove("app.kubernetes.io/component", "spec", "selector")},
	{"a Service by a port with a typo", servicesLeadToPods, defaults, "Service", put("htpp", "spec", "ports", 0, "targetPort")},
	{"a budget for no pods", disruptionBudgetsSelectPods, spin, "PodDisruptionBudget", put("web", "spec", "selector", "matchLabels", "app.kubernetes.io/name")},
	{"a policy for no pods", networkPoliciesSelectPods, local, "NetworkPolicy", put("web", "spec", "podSelector", "matchLabels", "app.kubernetes.io/component")},
	{"a policy for another port", networkPoliciesSelectPods, local, "NetworkPolicy", put(int64(80), "spec", "ingress", 0, "ports", 0, "port")},
	{"a policy for the host's port, of a SpinApp", networkPoliciesSelectPods, spin, "NetworkPolicy", put(int64(8080), "spec", "ingress", 0, "ports", 0, "port")},
	{"a scaler of nothing", scalersHaveTargets, aws, "HorizontalPodAutoscaler", put("web", "spec", "scaleTargetRef", "name")},
	{"a number of pods, though a scaler decides", scalersHaveTargets, aws, "Deployment", put(int64(3), "spec", "replicas")},
	{"a SpinApp with a scaler, without enableAutoscaling", scalersHaveTargets, "hello-api/ci/spinapp-autoscaling-values.yaml", "SpinApp", remove("enableAutoscaling", "spec")},
	{"a monitor of no Service", monitorsFindServices, aws, "ServiceMonitor", put("web", "spec", "selector", "matchLabels", "app.kubernetes.io/component")},
	{"a monitor of two Services", monitorsFindServices, aws, "ServiceMonitor", remove("app.kubernetes.io/component", "spec", "selector", "matchLabels")},
	{"a monitor of another port", monitorsFindServices, aws, "ServiceMonitor", put("metrics", "spec", "endpoints", 0, "port")},
	{"an Ingress to another port", routesLeadToServices, aws, "Ingress", put(int64(8080), "spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", "number")},
	{"a route to another Service", routesLeadToServices, "hello-api/ci/http-route-values.yaml", "HTTPRoute", put("web", "spec", "rules", 0, "backendRefs", 0, "name")},
	{"a ConfigMap that is not there", referencesResolve, defaults, "Deployment", put("web", "spec", "template", "spec", "containers", 0, "envFrom", 0, "configMapRef", "name")},
	{"an account that is not there", referencesResolve, defaults, "Deployment", put("web", "spec", "template", "spec", "serviceAccountName")},
	{"a key that a Secret has not", referencesResolve, postgres, "StatefulSet", put("web", "spec", "template", "spec", "volumes", 0, "secret", "items", 0, "key")},
	{"a key that an ExternalSecret does not make", referencesResolve, externalSecret, "ExternalSecret", put("web", "spec", "data", 0, "secretKey")},
	{"a volume that is not there", referencesResolve, postgres, "StatefulSet", put("web", "spec", "template", "spec", "containers", 0, "volumeMounts", 0, "name")},
	{"an option that the host has not", environmentIsKnown, defaults, "ConfigMap", put("1", "data", "BIRTHDAY_THREAD")},
	{"a variable that the component has not", environmentIsKnown, spin, "SpinApp", put("databse_url", "spec", "variables", 0, "name")},
	{"a file in no volume", secretFilesAreMounted, local, "Deployment", put("/etc/password", "spec", "template", "spec", "containers", 0, "env", 0, "value")},
	{"a file that the volume has not", secretFilesAreMounted, local, "Deployment", put("password", "spec", "template", "spec", "volumes", 0, "secret", "items", 0, "path")},
	{"a file that is never updated", secretFilesAreMounted, local, "Deployment", put("database_password", "spec", "template", "spec", "containers", 0, "volumeMounts", 0, "subPath")},
	{"a file for Spin", environmentIsKnown, spin, "SpinApp", put("database_url_file", "spec", "variables", 0, "name")},
	{"a class of secrets that nobody names", referencesResolve, "hello-api/ci/secret-provider-class-values.yaml", "Deployment", put("web", "spec", "template", "spec", "volumes", 0, "csi", "volumeAttributes", "secretProviderClass")},
	{"a certificate that is in no volume", secretFilesAreMounted, postgresCertificate, "Deployment", put("ca.crt", "spec", "template", "spec", "volumes", 0, "secret", "items", 0, "path")},
	{"a key that is never updated", secretFilesAreMounted, postgresCertificate, "Deployment", put("tls.key", "spec", "template", "spec", "containers", 0, "volumeMounts", 0, "subPath")},
	{"a password of Redis in no volume", secretFilesAreMounted, redis, "Deployment", put("password-1", "spec", "template", "spec", "volumes", 0, "secret", "items", 0, "path")},
	{"a store that the host has not", storesAreReachable, dynamodb, "ConfigMap", put("dynamodb:people?zone=eu-central-1", "data", "BIRTHDAY_KEY_VALUE")},
	{"no store", storesAreReachable, dynamodb, "ConfigMap", remove("BIRTHDAY_KEY_VALUE", "data")},
	{"a store at another port", storesAreReachable, dynamodb, "ConfigMap", put("dynamodb:people?endpoint=http://vpce.example.com:8443", "data", "BIRTHDAY_KEY_VALUE")},
	{"no way to the agent of Pod Identity", storesAreReachable, dynamodb, "NetworkPolicy", put(int64(8080), "spec", "egress", 2, "ports", 0, "port")},
	{"no way to STS", storesAreReachable, dynamodb, "NetworkPolicy", put(int64(8443), "spec", "egress", 1, "ports", 0, "port")},
	{"no way to STS for tokens of Postgres", storesAreReachable, awsIAM, "NetworkPolicy", put(int64(8443), "spec", "egress", 2, "ports", 0, "port")},
	{"no way to Pod Identity for tokens of Postgres", storesAreReachable, awsIAM, "NetworkPolicy", put(int64(8080), "spec", "egress", 3, "ports", 0, "port")},
	{"a local DynamoDB by another name", storesAreReachable, dynamodbLocal, "ConfigMap", put("dynamodb:people?endpoint=http://hello-api-dynamo:8000", "data", "BIRTHDAY_KEY_VALUE")},
	{"no way to the sentinels", storesAreReachable, redis, "NetworkPolicy", put(int64(6380), "spec", "egress", 1, "ports", 0, "port")},
	{"an access key in clear", noSecretIsInClear, dynamodb, "ConfigMap", put("AKIA", "data", "AWS_SECRET_ACCESS_KEY")},
	{"a password in the address of Redis", noSecretIsInClear, redis, "ConfigMap", put("redis://a:hunter2@redis", "data", "BIRTHDAY_KEY_VALUE")},
	{"a drain that is cut off", drainFitsGracePeriod, defaults, "Deployment", put(int64(30), "spec", "template", "spec", "terminationGracePeriodSeconds")},
	{"a password in a variable", noSecretIsInClear, local, "ConfigMap", put("hunter2", "data", "SPIN_VARIABLE_DATABASE_PASSWORD")},
	{"a password in an address", noSecretIsInClear, local, "ConfigMap", put("postgres://a:hunter2@db/people", "data", "SPIN_VARIABLE_DATABASE_URL")},
	{"a password in a Secret that is always the same", noSecretIsInClear, postgres, "Secret", put("aHVudGVyMg==", "data", "postgres-password")},
	{"a pod of a Rollout that is root", podsPassPodSecurity, canary, "Rollout", put(false, "spec", "template", "spec", "securityContext", "runAsNonRoot")},
	{"a scaler of a Deployment that is not there", scalersHaveTargets, canary, "HorizontalPodAutoscaler", put("Deployment", "spec", "scaleTargetRef", "kind")},
	{"a scaler of a Rollout that is not there", scalersHaveTargets, aws, "HorizontalPodAutoscaler", put("argoproj.io/v1alpha1", "spec", "scaleTargetRef", "apiVersion")},
	{"a Rollout with a number of pods, though a scaler decides", scalersHaveTargets, canary, "Rollout", put(int64(3), "spec", "replicas")},
	{"a canary's Service that is not there", rolloutsFindTheirParts, canaryNginx, "Rollout", put("web", "spec", "strategy", "canary", "canaryService")},
	{"one Service for both versions", rolloutsFindTheirParts, canaryNginx, "Rollout", put("hello-api-stable", "spec", "strategy", "canary", "canaryService")},
	{"a Service of a version with a selector of helm's", rolloutsFindTheirParts, canaryNginx, "Rollout", put("hello-api", "spec", "strategy", "canary", "stableService")},
	{"an Ingress that is not there", rolloutsFindTheirParts, canaryNginx, "Rollout", put("web", "spec", "strategy", "canary", "trafficRouting", "nginx", "stableIngress")},
	{"an Ingress to both versions", rolloutsFindTheirParts, canaryNginx, "Ingress", put("hello-api", "spec", "rules", 0, "http", "paths", 0, "backend", "service", "name")},
	{"an action that no Ingress names", rolloutsFindTheirParts, canaryALB, "Rollout", put("web", "spec", "strategy", "canary", "trafficRouting", "alb", "rootService")},
	{"an Ingress with an action, and no Rollout for it", routesLeadToServices, canaryALB, "Rollout", remove("trafficRouting", "spec", "strategy", "canary")},
	{"a route to one version", rolloutsFindTheirParts, canaryGateway, "HTTPRoute", put("hello-api-stable", "spec", "rules", 0, "backendRefs", 1, "name")},
	{"a route of another namespace", rolloutsFindTheirParts, canaryGateway, "Rollout", put("web", "spec", "strategy", "canary", "trafficRouting", "plugins", "argoproj-labs/gatewayAPI", "namespace")},
	{"an analysis that is not there", rolloutsFindTheirParts, canary, "Rollout", put("web", "spec", "strategy", "canary", "analysis", "templates", 0, "templateName")},
	{"an analysis of the old version", rolloutsFindTheirParts, canary, "Rollout", put("Stable", "spec", "strategy", "canary", "steps", 2, "analysis", "args", 0, "valueFrom", "podTemplateHashValue")},
	{"a step back", stepsRise, canary, "Rollout", put(int64(5), "spec", "strategy", "canary", "steps", 3, "setWeight")},
	{"a step without analysis", stepsRise, canary, "Rollout", remove("analysis", "spec", "strategy", "canary", "steps", 2)},
	{"no steps", stepsRise, canary, "Rollout", remove("steps", "spec", "strategy", "canary")},
	{"an analysis without end", analysesAreBounded, canary, "AnalysisTemplate", remove("count", "spec", "metrics", 1)},
	{"an analysis that cannot fail", analysesAreBounded, canary, "AnalysisTemplate", put(int64(5), "spec", "metrics", 1, "failureLimit")},
	{"an analysis that errors without end", analysesAreBounded, canary, "AnalysisTemplate", remove("consecutiveErrorLimit", "spec", "metrics", 1)},
	{"a query without a timeout", analysesAreBounded, canary, "AnalysisTemplate", remove("timeout", "spec", "metrics", 0, "provider", "prometheus")},
	{"an analysis that no step uses", analysesAreBounded, canary, "AnalysisTemplate", put("web", "metadata", "name")},
	{"another objective than the alerts'", analysesFollowTheAlerts, canary, "AnalysisTemplate", put("result[0] <= 14.4 * 0.01", "spec", "metrics", 1, "successCondition")},
	{"a metric that the alerts have not", analysesFollowTheAlerts, canary, "AnalysisTemplate", put(`sum(rate(http_requests_total{namespace="app-space", job="hello-api"}[2m]))`, "spec", "metrics", 1, "provider", "prometheus", "query")},
	{"an analysis of the probes, too", analysesFollowTheAlerts, canary, "AnalysisTemplate", put(`sum(rate(http_server_request_duration_seconds_count{namespace="app-space", job="hello-api"}[2m]))`, "spec", "metrics", 1, "provider", "prometheus", "query")},
	{"an analysis of another release", analysesFindFigures, canary, "AnalysisTemplate", put(`sum(birthday_host_ready{namespace="app-space", rollouts_pod_template_hash="{{args.version}}"})`, "spec", "metrics", 0, "provider", "prometheus", "query")},
	{"an analysis of both versions", analysesFindFigures, canary, "AnalysisTemplate", put(`sum(birthday_host_ready{namespace="app-space", job="hello-api"})`, "spec", "metrics", 0, "provider", "prometheus", "query")},
	{"figures without the label of a version", analysesFindFigures, canary, "ServiceMonitor", remove("podTargetLabels", "spec")},
	{"figures of another job", analysesFindFigures, canary, "ServiceMonitor", put("app.kubernetes.io/name-of-none", "spec", "jobLabel")},
	{"a token in the environment of a SpinApp", noSecretIsInClear, spin, "SpinApp", put(map[string]any{"name": "api_token", "value": "hunter2"}, "spec", "variables", 0)},
}

const tooLong = "x123456789x123456789x123456789x123456789x123456789x123456789x123456789"

func TestRulesNoticeWhenTheyAreBroken(t *testing.T) {
	broken := map[string]bool{}
	byScenario := map[string]rendering{}
	for _, r := range plainRenderings(t) {
		byScenario[r.scenario.String()] = r
	}
	for _, mutation := range mutations {
		broken[mutation.rule.String()] = true
		t.Run(mutation.claim, func(t *testing.T) {
			r, known := byScenario[mutation.scenario]
			if !known {
				t.Fatalf("there is no %s", mutation.scenario)
			}
			var objects []object
			changed := false
			for _, o := range r.objects {
				o := object{o.DeepCopy()}
				if o.GetKind() == mutation.kind && !changed {
					mutation.change(o)
					changed = true
				}
				objects = append(objects, o)
			}
			if !changed {
				t.Fatalf("%s has no %s", mutation.scenario, mutation.kind)
			}
			r.objects = objects
			if len(mutation.rule(r)) == 0 {
				t.Error("is not noticed")
			}
		})
	}
	for _, rule := range rules {
		if !broken[rule.String()] {
			t.Errorf("nothing is there to break %s", rule)
		}
	}
}

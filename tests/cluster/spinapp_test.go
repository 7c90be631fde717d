package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

var spinApps = schema.GroupVersionResource{Group: "core.spinkube.dev", Version: "v1alpha1", Resource: "spinapps"}

// spinValues are the values of a release for which the operator creates pods.
const spinValues = `
runtime: spinapp
image: {repository: registry.example.com/birthday, tag: "1.2.3"}
spinapp: {executor: {create: true}}
` + onPostgres

func spinApp(t *testing.T, space string) map[string]any {
	t.Helper()
	app, err := objects.Resource(spinApps).Namespace(space).Get(ctx, "hello-api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return app.Object
}

func TestOperatorMakesDeploymentOfSpinApp(t *testing.T) {
	space := namespace(t, "spin-space", "baseline")
	install(t, space, spinValues, `
variables:
  database_url: postgres://hello_api@postgres-db.db-space.svc.cluster.local:5432/people?sslmode=disable
  timezone: Europe/Berlin
  leap_day: feb-28
`)
	deployment := waitForDeployment(t, space, 2)
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]

	equal(t, "image", "registry.example.com/birthday:1.2.3", container.Image)
	if pod.RuntimeClassName == nil || *pod.RuntimeClassName != "wasmtime-spin-v2" {
		t.Errorf("runtimeClassName: expected that of the executor, wasmtime-spin-v2, seen %v", pod.RuntimeClassName)
	}
	equal(t, "serviceAccountName", "hello-api", pod.ServiceAccountName)
	equal(t, "CPU request", "100m", container.Resources.Requests.Cpu().String())
	equal(t, "memory request", "64Mi", container.Resources.Requests.Memory().String())
	equal(t, "memory limit", "256Mi", container.Resources.Limits.Memory().String())
	if container.ReadinessProbe == nil || container.ReadinessProbe.HTTPGet == nil || container.ReadinessProbe.HTTPGet.Path != "/health" {
		t.Errorf("readinessProbe: expected /health, seen %+v", container.ReadinessProbe)
	}
	if container.LivenessProbe == nil || container.LivenessProbe.HTTPGet == nil || container.LivenessProbe.HTTPGet.Path != "/.well-known/spin/health" {
		t.Errorf("livenessProbe: expected /.well-known/spin/health, seen %+v", container.LivenessProbe)
	}

	environment := map[string]corev1.EnvVar{}
	for _, variable := range container.Env {
		environment[variable.Name] = variable
	}
	for name, expected := range map[string]string{
		"SPIN_VARIABLE_DATABASE_URL": "postgres://hello_api@postgres-db.db-space.svc.cluster.local:5432/people?sslmode=disable",
		"SPIN_VARIABLE_TIMEZONE":     "Europe/Berlin",
		"SPIN_VARIABLE_LEAP_DAY":     "feb-28",
	} {
		equal(t, name, expected, environment[name].Value)
	}
	password := environment["SPIN_VARIABLE_DATABASE_PASSWORD"]
	if password.Value != "" || password.ValueFrom == nil || password.ValueFrom.SecretKeyRef == nil ||
		password.ValueFrom.SecretKeyRef.Name != "hello-api-database" || password.ValueFrom.SecretKeyRef.Key != "database_password" {
		t.Errorf("SPIN_VARIABLE_DATABASE_PASSWORD: expected to be from the Secret hello-api-database, seen %+v", password)
	}

	deployment.ManagedFields = nil
	text, err := yaml.Marshal(map[string]any{"metadata": deployment.ObjectMeta, "spec": deployment.Spec})
	if err != nil {
		t.Fatal(err)
	}
	report.note("The Deployment that the spin-operator made of our SpinApp", "%s", text)
}

func TestServiceOfSpinAppLeadsToItsReadyPods(t *testing.T) {
	space := namespace(t, "spin-space", "baseline")
	install(t, space, spinValues)
	waitForDeployment(t, space, 2)
	for _, pod := range pods(t, space, thePods) {
		equal(t, "the operator's label of "+pod.Name, "ready", pod.Labels["core.spinkube.dev/app.hello-api.status"])
	}
	service, err := client.CoreV1().Services(space).Get(ctx, "hello-api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "port of the Service", 80, service.Spec.Ports[0].Port)
	eventually(t, "the Service leads to both pods", func() error {
		if seen := endpoints(t, space, "hello-api"); seen != 2 {
			return fmt.Errorf("%d endpoints", seen)
		}
		return nil
	})
	report.note("Seen", "the Service of the spin-operator: selector %v, port %d without a name, 2 endpoints; the pods have the label from the start, readiness is the probe's",
		service.Spec.Selector, service.Spec.Ports[0].Port)
}

func TestSpinAppIsUpgradedRolledBackAndUninstalled(t *testing.T) {
	space := namespace(t, "spin-space", "baseline")
	before := names(objectsOf(t, space, ""))
	install(t, space, spinValues)
	waitForDeployment(t, space, 2)
	first := spinApp(t, space)

	upgrade(t, space, spinValues)
	again := spinApp(t, space)
	if generation := func(app map[string]any) any { return app["metadata"].(map[string]any)["generation"] }; generation(first) != generation(again) {
		t.Errorf("generation of the SpinApp after an upgrade without a change: expected %v, seen %v", generation(first), generation(again))
	}

	upgrade(t, space, spinValues, "replicas: 3")
	waitForDeployment(t, space, 3)
	helm(t, "rollback", "hello-api", "1", "-n", space, "--wait", "--timeout=2m")
	waitForDeployment(t, space, 2)
	helm(t, "uninstall", "hello-api", "-n", space, "--wait")
	// The certificate authorities that the operator creates for all applications of the namespace. It never deletes them.
	before = append(before, "Secret/spin-ca")
	eventually(t, "everything is gone, what the operator made of the SpinApp too", func() error {
		if left := names(objectsOf(t, space, "")); !slices.Equal(before, left) {
			return fmt.Errorf("there is %v, and not just %v", left, before)
		}
		return nil
	})
	report.note("Seen", "a SpinApp is upgraded, rolled back and uninstalled with all that the operator made of it; only the operator's Secret spin-ca stays")
}

func TestReplicasTogetherWithAutoscalingAreRefusedByTheOperator(t *testing.T) {
	space := namespace(t, "spin-space", "baseline")
	install(t, space, spinValues)
	wrong := func(name, spec string) error {
		_, err := cluster.Kubectl(fmt.Sprintf("{apiVersion: core.spinkube.dev/v1alpha1, kind: SpinApp, metadata: {name: %s}, spec: {image: example.com/app, %s}}", name, spec), "apply", "-n", space, "-f", "-")
		return err
	}
	refused(t, "a SpinApp with replicas and enableAutoscaling", wrong("both", "executor: hello-api, replicas: 2, enableAutoscaling: true"),
		"replicas cannot be set when autoscaling is enabled")
	refused(t, "a SpinApp without replicas", wrong("none", "executor: hello-api"), "replicas must be > 0")
	refused(t, "a SpinApp whose executor is not there", wrong("missing", "executor: missing, replicas: 1"), "executor does not exist in namespace")
	refused(t, "a SpinApp with a security context", wrong("secure", "executor: hello-api, replicas: 1, securityContext: {runAsNonRoot: true}"), `unknown field "spec.securityContext"`)
	refused(t, "a SpinApp with an invocation that may take more memory than its pod",
		wrong("greedy", "executor: hello-api, replicas: 1, resources: {limits: {memory: 64Mi}}, invocationLimits: {memory: 1Gi}"), "invocation limit quantity cannot be greater")
	// The operator's own sample of checks looks like this. That is why our chart always writes headers.
	refused(t, "a SpinApp whose checks have no headers, of which the operator's webhook makes null", wrong("checked", "executor: hello-api, replicas: 1, checks: {readiness: {httpGet: {path: /health}}}"),
		"httpHeaders in body must be of type array")

	// Our chart refuses it before the server is asked.
	_, err := cluster.Helm(withValues(t, []string{spinValues, "replicas: 2\nautoscaling: {enabled: true}"}, "upgrade", "hello-api", chart("hello-api"), "-n", space)...)
	refused(t, "values with replicas and autoscaling", err, "replicas")
	_, err = cluster.Helm(withValues(t, []string{spinValues, "nodeSelector: {a: b}"}, "upgrade", "hello-api", chart("hello-api"), "-n", space)...)
	refused(t, "values with something that a SpinApp cannot have", err, "nodeSelector")
}

func TestPodsOfSpinAppAreRefusedWhereRestrictedIsEnforced(t *testing.T) {
	space := namespace(t, "spin-space", "restricted")
	helm(t, withValues(t, []string{spinValues}, "install", "hello-api", chart("hello-api"), "-n", space)...)
	eventually(t, "the operator's pods are refused", func() error {
		for _, event := range events(space, corev1.EventTypeWarning) {
			if strings.Contains(event, "FailedCreate") {
				refused(t, "a pod of a SpinApp in a namespace that enforces `restricted`", errors.New(event), `violates PodSecurity "restricted:latest"`, "runAsNonRoot != true")
				return nil
			}
		}
		return fmt.Errorf("events: %q", events(space, corev1.EventTypeWarning))
	})
	equal(t, "pods", 0, len(pods(t, space, "")))
}

// There are no metrics here, so nothing is scaled. But the autoscaler finds its target and the pods, and helm does not change the replicas.
func TestAutoscalerFindsTheDeploymentOfBothRuntimes(t *testing.T) {
	for _, runtime := range []struct{ name, level, values string }{{"host", "restricted", onPostgres}, {"spinapp", "baseline", spinValues}} {
		t.Run(runtime.name, func(t *testing.T) {
			space := namespace(t, "app-space", runtime.level)
			scaled := []string{runtime.values, "autoscaling: {enabled: true, minReplicas: 3}"}
			helm(t, withValues(t, scaled, "install", "hello-api", chart("hello-api"), "-n", space)...)
			var scaler *autoscalingv2.HorizontalPodAutoscaler
			eventually(t, "the autoscaler finds its target, and brings it to its least pods", func() (err error) {
				if scaler, err = client.AutoscalingV2().HorizontalPodAutoscalers(space).Get(ctx, "hello-api", metav1.GetOptions{}); err != nil {
					return err
				}
				if scaler.Status.CurrentReplicas != 3 || !slices.ContainsFunc(scaler.Status.Conditions, func(condition autoscalingv2.HorizontalPodAutoscalerCondition) bool {
					return condition.Type == autoscalingv2.AbleToScale && condition.Status == corev1.ConditionTrue
				}) {
					return fmt.Errorf("%+v", scaler.Status)
				}
				return nil
			})
			waitForDeployment(t, space, 3)

			// An administrator scales instead of metrics. An upgrade does not undo it.
			kubectl(t, "", "scale", "deployment/hello-api", "--replicas=5", "-n", space)
			waitForDeployment(t, space, 5)
			helm(t, withValues(t, append(scaled, `podAnnotations: {changed: "yes"}`), "upgrade", "hello-api", chart("hello-api"), "-n", space)...)
			eventually(t, "the changed pods are made", func() error {
				if deployment(t, space).Spec.Template.Annotations["changed"] != "yes" {
					return errors.New("not yet")
				}
				return nil
			})
			waitForDeployment(t, space, 5)
			for _, condition := range scaler.Status.Conditions {
				report.note("Autoscaler ("+runtime.name+")", "%s=%s: %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message)
			}
		})
	}
}

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// thePods selects the pods of the API, in both runtimes.
const thePods = "app.kubernetes.io/name=hello-api,app.kubernetes.io/instance=hello-api,app.kubernetes.io/component=api"

// onPostgres are the values of a release with a store that pods can share. Nothing uses the database here.
const onPostgres = `
store: postgres
variables: {database_url: "postgres://hello_api@postgres-db.db-space.svc.cluster.local:5432/people?sslmode=disable"}
existingSecret: {name: hello-api-database, keys: {database_password: database_password}}
`

// install installs hello-api with these values, later ones over earlier ones, and waits until its pods are ready.
func install(t *testing.T, space string, texts ...string) {
	t.Helper()
	helm(t, withValues(t, texts, "install", "hello-api", chart("hello-api"), "-n", space, "--wait", "--timeout=2m")...)
}

func upgrade(t *testing.T, space string, texts ...string) {
	t.Helper()
	helm(t, withValues(t, texts, "upgrade", "hello-api", chart("hello-api"), "-n", space, "--wait", "--timeout=2m")...)
}

// waitForDeployment waits until a rollout is finished, with this number of replicas, or with 0 for the number of the Deployment. Helm does
// not do that for a SpinApp: it waits for the SpinApp, not for the Deployment that the operator creates.
func waitForDeployment(t *testing.T, space string, replicas int32) *appsv1.Deployment {
	t.Helper()
	eventually(t, "the rollout of the Deployment is over", func() error {
		deployment, err := client.AppsV1().Deployments(space).Get(ctx, "hello-api", metav1.GetOptions{})
		if err != nil {
			return err
		}
		expected, status := *deployment.Spec.Replicas, deployment.Status
		if replicas > 0 {
			expected = replicas
		}
		if expected == 0 || status.ObservedGeneration != deployment.Generation || status.ReadyReplicas != expected || status.UpdatedReplicas != expected || status.Replicas != expected {
			return fmt.Errorf("%d replicas are expected, and it has %+v", expected, status)
		}
		return nil
	})
	return deployment(t, space)
}

func deployment(t *testing.T, space string) *appsv1.Deployment {
	t.Helper()
	deployment, err := client.AppsV1().Deployments(space).Get(ctx, "hello-api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return deployment
}

func TestHelloAPIOfDefaultValuesIsReadyInRestrictedNamespace(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, "")
	equal(t, "ready pods of the Deployment", 1, deployment(t, space).Status.ReadyReplicas)
	eventually(t, "the Service leads to the pod", func() error {
		if seen := endpoints(t, space, "hello-api"); seen != 1 {
			return fmt.Errorf("%d endpoints", seen)
		}
		return nil
	})
	if warnings := events(space, corev1.EventTypeWarning); len(warnings) > 0 {
		t.Errorf("expected no warning, seen %q", warnings)
	}
}

func TestUpgradeWithoutChangeChangesNothing(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres)
	before := objectsOf(t, space, "app.kubernetes.io/instance=hello-api")
	upgrade(t, space, onPostgres)
	after := objectsOf(t, space, "app.kubernetes.io/instance=hello-api")
	sameObjects(t, before, after)
	report.note("Seen", "an upgrade of hello-api without a change: %d objects, all of them as before, pods too", len(before))
}

// sameObjects checks that there are the same objects with the same specs.
func sameObjects(t *testing.T, before, after map[string]unstructured.Unstructured) {
	t.Helper()
	if !slices.Equal(names(before), names(after)) {
		t.Fatalf("objects: expected %v, seen %v", names(before), names(after))
	}
	for name, was := range before {
		is := after[name]
		for _, object := range []*unstructured.Unstructured{&was, &is} {
			unstructured.RemoveNestedField(object.Object, "status")
			object.SetManagedFields(nil)
			object.SetResourceVersion("")
			// The deployment controller counts revisions.
			annotations := object.GetAnnotations()
			maps.DeleteFunc(annotations, func(key, _ string) bool { return strings.HasPrefix(key, "deployment.kubernetes.io/") })
			object.SetAnnotations(annotations)
		}
		if !reflect.DeepEqual(was.Object, is.Object) {
			expected, _ := json.Marshal(was.Object)
			seen, _ := json.Marshal(is.Object)
			t.Errorf("%s: expected\n%s\nseen\n%s", name, expected, seen)
		}
	}
}

func TestSettingsRollPodsAndRollbackBringsThemBack(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres)
	first, firstPods := deployment(t, space), podUIDs(t, space)

	upgrade(t, space, onPostgres, "host: {requestTimeout: 7s}")
	second, secondPods := deployment(t, space), podUIDs(t, space)
	if first.Spec.Template.Annotations["checksum/config"] == second.Spec.Template.Annotations["checksum/config"] {
		t.Errorf("checksum/config: expected another than %s", first.Spec.Template.Annotations["checksum/config"])
	}
	for _, uid := range secondPods {
		if slices.Contains(firstPods, uid) {
			t.Errorf("expected new pods, seen %v after %v", secondPods, firstPods)
		}
	}

	helm(t, "rollback", "hello-api", "1", "-n", space, "--wait", "--timeout=2m")
	third := deployment(t, space)
	if !reflect.DeepEqual(first.Spec, third.Spec) {
		t.Errorf("after the rollback: expected %+v, seen %+v", first.Spec, third.Spec)
	}
	equal(t, "ready pods after the rollback", *third.Spec.Replicas, third.Status.ReadyReplicas)
	report.note("Seen", "a changed setting rolls the pods (checksum/config), and `helm rollback` brings back the very Deployment")
}

func podUIDs(t *testing.T, space string) []string {
	t.Helper()
	var uids []string
	for _, pod := range pods(t, space, thePods) {
		uids = append(uids, string(pod.UID))
	}
	return uids
}

func TestUninstallOfHelloAPILeavesNothing(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	before := names(objectsOf(t, space, ""))
	install(t, space, onPostgres, everything)
	helm(t, "uninstall", "hello-api", "-n", space, "--wait")
	eventually(t, "everything is gone", func() error {
		if left := names(objectsOf(t, space, "")); !slices.Equal(before, left) {
			return fmt.Errorf("there is %v, and there was %v", left, before)
		}
		return nil
	})
}

func TestPodsAreSpreadOverZonesAndNodes(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres, "replicas: 3")
	zones, nodes := placement(t, space)
	if expected := (map[string]int{"zone-a": 1, "zone-b": 1, "zone-c": 1}); !maps.Equal(zones, expected) {
		t.Errorf("3 pods by zone: expected %v, seen %v", expected, zones)
	}
	report.note("Seen", "3 pods as the scheduler placed them: %v, %v", zones, nodes)

	upgrade(t, space, onPostgres, "replicas: 6")
	zones, nodes = placement(t, space)
	if expected := (map[string]int{"zone-a": 2, "zone-b": 2, "zone-c": 2}); !maps.Equal(zones, expected) {
		t.Errorf("6 pods by zone: expected %v, seen %v", expected, zones)
	}
	if len(nodes) != 6 {
		t.Errorf("expected a pod on each of 6 nodes, seen %v", nodes)
	}
	report.note("Seen", "6 pods as the scheduler placed them: %v, %v", zones, nodes)
}

// placement counts the pods of the API by zone and by node.
func placement(t *testing.T, space string) (zones, nodes map[string]int) {
	t.Helper()
	zones, nodes = map[string]int{}, map[string]int{}
	for _, pod := range pods(t, space, thePods) {
		node, err := client.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		zones[node.Labels[corev1.LabelTopologyZone]]++
		nodes[node.Name]++
	}
	return zones, nodes
}

// readiness follows how many pods are ready, from a watch that misses no change.
type readiness struct {
	lock   sync.Mutex
	ready  map[string]bool
	fewest int
	most   int
	watch  watch.Interface
}

func watchReadiness(t *testing.T, space string) *readiness {
	t.Helper()
	list, err := client.CoreV1().Pods(space).List(ctx, metav1.ListOptions{LabelSelector: thePods})
	if err != nil {
		t.Fatal(err)
	}
	r := &readiness{ready: map[string]bool{}}
	for _, pod := range list.Items {
		r.ready[pod.Name] = ready(&pod)
	}
	r.fewest, r.most = r.count(), r.count()
	r.watch, err = client.CoreV1().Pods(space).Watch(ctx, metav1.ListOptions{LabelSelector: thePods, ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for event := range r.watch.ResultChan() {
			if pod, is := event.Object.(*corev1.Pod); is {
				r.lock.Lock()
				r.ready[pod.Name] = event.Type != watch.Deleted && ready(pod)
				r.fewest, r.most = min(r.fewest, r.count()), max(r.most, r.count())
				r.lock.Unlock()
			}
		}
	}()
	return r
}

func (r *readiness) count() int {
	count := 0
	for _, ready := range r.ready {
		if ready {
			count++
		}
	}
	return count
}

func (r *readiness) stop() (fewest, most, podsSeen int) {
	r.watch.Stop()
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.fewest, r.most, len(r.ready)
}

func TestRolloutNeverHasFewerReadyPodsThanReplicas(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres, "replicas: 4")
	watched := watchReadiness(t, space)
	upgrade(t, space, onPostgres, "replicas: 4\nvariables: {timezone: Asia/Tokyo}")
	fewest, most, seen := watched.stop()
	if fewest < 4 {
		t.Errorf("ready pods during the rollout: expected never fewer than 4, seen %d", fewest)
	}
	if most > 5 {
		t.Errorf("ready pods during the rollout: expected never more than 5 (maxSurge 1), seen %d", most)
	}
	equal(t, "pods seen, old and new", 8, seen)
	report.note("Seen", "a rollout of 4 replicas: between %d and %d pods were ready, of %d old and new", fewest, most, seen)
}

func TestEvictionBeyondTheDisruptionBudgetIsRefused(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres, "replicas: 3")
	eventually(t, "the budget allows one disruption", func() error {
		budget, err := client.PolicyV1().PodDisruptionBudgets(space).Get(ctx, "hello-api", metav1.GetOptions{})
		if err == nil && budget.Status.DisruptionsAllowed != 1 {
			err = fmt.Errorf("it allows %d of %d pods", budget.Status.DisruptionsAllowed, budget.Status.ExpectedPods)
		}
		return err
	})
	all := pods(t, space, thePods)
	evict := func(pod corev1.Pod) error {
		return client.PolicyV1().Evictions(space).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: space}})
	}
	if err := evict(all[0]); err != nil {
		t.Fatal("the first eviction: expected to be accepted: ", err)
	}
	err := evict(all[1])
	refused(t, "the eviction of a second pod of three at the same time", err, "disruption budget")
	if !apierrors.IsTooManyRequests(err) {
		t.Errorf("the second eviction: expected status 429, seen %v", err)
	}
}

func TestDrainOfNodesKeepsPodsWithinTheBudget(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres, "replicas: 3")
	watched := watchReadiness(t, space)
	// All nodes with a pod of ours, one after the other, like an upgrade of the cluster.
	drained := map[string]bool{}
	for _, pod := range pods(t, space, thePods) {
		drained[pod.Spec.NodeName] = true
	}
	for node := range drained {
		t.Cleanup(func() { kubectl(t, "", "uncordon", node) })
		kubectl(t, "", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector="+thePods, "--timeout=90s")
	}
	eventually(t, "all pods are ready elsewhere", func() error {
		var ready []string
		for _, pod := range pods(t, space, thePods) {
			if drained[pod.Spec.NodeName] {
				return fmt.Errorf("%s is on %s", pod.Name, pod.Spec.NodeName)
			}
			ready = append(ready, pod.Name)
		}
		if len(ready) != 3 || deployment(t, space).Status.ReadyReplicas != 3 {
			return errors.New("not three pods are ready")
		}
		return nil
	})
	fewest, _, _ := watched.stop()
	if fewest < 2 {
		t.Errorf("ready pods while %d nodes were drained: expected never fewer than 2 of 3, seen %d", len(drained), fewest)
	}
	report.note("Seen", "`kubectl drain` of %d nodes: never fewer than %d of 3 pods were ready", len(drained), fewest)
}

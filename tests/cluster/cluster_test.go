package cluster

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"birthday/tests/cluster/controlplane"
)

// patience is the time that a state may take to be reached. Seconds are usual, but the machine may be busy.
const patience = 90 * time.Second

var (
	ctx     = context.Background()
	cluster *controlplane.Cluster
	client  *kubernetes.Clientset
	objects *dynamic.DynamicClient
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)

	target, err := filepath.Abs("../../target")
	if err != nil {
		panic(err)
	}
	logs := filepath.Join(target, "cluster")
	cluster, err = controlplane.Start(filepath.Join(target, "tools/bin"), true, func(line string) { fmt.Println("started", line) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "the control plane does not start:", err)
		return 1
	}
	go func() {
		<-interrupted
		cluster.Stop(logs)
		os.Exit(130)
	}()
	client = cluster.Client
	if objects, err = dynamic.NewForConfig(cluster.Config); err != nil {
		panic(err)
	}

	code := m.Run()

	if err := report.write(filepath.Join(logs, "report.txt")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := cluster.Ended(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := cluster.Stop(logs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// helm runs helm, and ends the test if it fails.
func helm(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := cluster.Helm(arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func kubectl(t *testing.T, stdin string, arguments ...string) string {
	t.Helper()
	output, err := cluster.Kubectl(stdin, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func chart(name string) string {
	path, err := filepath.Abs("../../charts/" + name)
	if err != nil {
		panic(err)
	}
	return path
}

// values writes a values file for one test.
func values(t *testing.T, text string) string {
	t.Helper()
	// Not in t.TempDir(): its name contains the commas of the test's name, and helm would split it into several files.
	file, err := os.CreateTemp(cluster.Dir, "values-*.yaml")
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// withValues adds the options of helm for these values.
func withValues(t *testing.T, texts []string, arguments ...string) []string {
	t.Helper()
	for _, text := range texts {
		arguments = append(arguments, "-f", values(t, text))
	}
	return arguments
}

// namespace creates a namespace for one test, with an enforced Pod Security level. Its name is app-space and so on, with a random suffix.
func namespace(t *testing.T, name, level string) string {
	t.Helper()
	made, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: name + "-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/warn": level},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, line := range events(made.Name, corev1.EventTypeWarning) {
				t.Log("event in ", made.Name, ": ", line)
			}
		}
		if err := client.CoreV1().Namespaces().Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	// Without a service account pods are refused.
	eventually(t, "the namespace has its default ServiceAccount", func() error {
		_, err := client.CoreV1().ServiceAccounts(made.Name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	return made.Name
}

// eventually waits until there is no error.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s; last seen: %v", what, patience, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// refused checks that something was refused, and that the reason contains all of the words.
func refused(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: expected to be refused with %q, and was accepted", what, words)
	}
	reason := strings.Join(strings.Fields(err.Error()), " ")
	// The message of helm or kubectl, without the command line.
	if _, said, cut := strings.Cut(reason, ": exit status 1: "); cut {
		reason = said
	}
	for _, word := range words {
		if !strings.Contains(reason, word) {
			t.Fatalf("%s: expected to be refused with %q, and was refused with: %s", what, word, reason)
		}
	}
	report.note("Refused", "%s:\n    %s", what, reason)
}

func equal[T comparable](t *testing.T, what string, expected, seen T) {
	t.Helper()
	if expected != seen {
		t.Errorf("%s: expected %v, seen %v", what, expected, seen)
	}
}

// kinds are all namespaced kinds that the server can list, without those that controllers create from others.
func kinds(t *testing.T) []schema.GroupVersionResource {
	t.Helper()
	lists, err := client.Discovery().ServerPreferredNamespacedResources()
	if err != nil {
		t.Fatal(err)
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "create", "delete"}}, lists)
	byKind, err := discovery.GroupVersionResources(lists)
	if err != nil {
		t.Fatal(err)
	}
	var all []schema.GroupVersionResource
	for kind := range byKind {
		if kind.Resource != "events" && kind.Resource != "endpoints" && kind.Resource != "podmetrics" {
			all = append(all, kind)
		}
	}
	return all
}

// objectsOf lists the objects of a namespace as kind/name, without those that every namespace has. A selector restricts it.
func objectsOf(t *testing.T, namespace, selector string) map[string]unstructured.Unstructured {
	t.Helper()
	found := map[string]unstructured.Unstructured{}
	for _, kind := range kinds(t) {
		list, err := objects.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			continue
		}
		if err != nil {
			t.Fatal(kind, err)
		}
		for _, object := range list.Items {
			name := object.GetKind() + "/" + object.GetName()
			if name != "ServiceAccount/default" && name != "ConfigMap/kube-root-ca.crt" {
				found[name] = object
			}
		}
	}
	return found
}

func names[T any](of map[string]T) []string {
	var names []string
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// events are the messages of a namespace's events.
func events(namespace, kind string) []string {
	list, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + kind})
	if err != nil {
		return []string{err.Error()}
	}
	var messages []string
	for _, event := range list.Items {
		messages = append(messages, fmt.Sprintf("%s/%s: %s: %s", event.InvolvedObject.Kind, event.InvolvedObject.Name, event.Reason, event.Message))
	}
	return messages
}

// pods are those of the API or the database that are not being deleted.
func pods(t *testing.T, namespace, selector string) []corev1.Pod {
	t.Helper()
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

func ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// endpoints counts the addresses that a Service leads to, of ready pods.
func endpoints(t *testing.T, namespace, service string) int {
	t.Helper()
	slices, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			if len(slice.Ports) > 0 && endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
				count++
			}
		}
	}
	return count
}

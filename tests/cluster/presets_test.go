package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Like `make deploy` and `make deploy-spin`, with the same namespaces.
func TestPresetsForMinikubeFitTogether(t *testing.T) {
	kubectl(t, "", "apply", "-f", chart("namespaces.yaml"))
	t.Cleanup(func() { kubectl(t, "", "delete", "-f", chart("namespaces.yaml"), "--wait=false") })
	for name, level := range map[string]string{"app-space": "restricted", "db-space": "restricted", "spin-space": "baseline"} {
		space, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "Pod Security level that "+name+" enforces", level, space.Labels["pod-security.kubernetes.io/enforce"])
		eventually(t, "the namespace has its default ServiceAccount", func() error {
			_, err := client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
	}

	helm(t, "install", "postgres-db", chart("postgres-db"), "-n", "db-space", "-f", chart("postgres-db/values.local.yaml"), "--wait", "--timeout=3m")
	helm(t, "install", "hello-api", chart("hello-api"), "-n", "app-space", "-f", chart("hello-api/values.local.yaml"), "--wait", "--timeout=2m")
	helm(t, "install", "hello-api", chart("hello-api"), "-n", "spin-space", "-f", chart("hello-api/values.spinapp.yaml"), "--wait", "--timeout=2m")
	waitForDeployment(t, "app-space", 2)
	waitForDeployment(t, "spin-space", 2)

	database, err := client.CoreV1().Pods("db-space").Get(ctx, "postgres-db-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, space := range []string{"app-space", "spin-space"} {
		equal(t, "password in "+space+" and that of the role in db-space are the same", true,
			secret(t, space, "hello-api-database", "database_password") == secret(t, "db-space", "postgres-db-api", "database_password"))
		ingress, err := client.NetworkingV1().Ingresses(space).Get(ctx, "hello-api", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		backend := ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
		service, err := client.CoreV1().Services(space).Get(ctx, backend.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "port of the Service that the Ingress of "+space+" leads to", backend.Port.Number, service.Spec.Ports[0].Port)
		for _, pod := range pods(t, space, thePods) {
			for _, variable := range pod.Spec.Containers[0].Env {
				if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
					secret(t, space, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
				}
			}
			if !reaches(t, pod, *database, 5432) {
				t.Errorf("%s/%s: expected that NetworkPolicies let it reach the database", space, pod.Name)
			}
		}
	}
	unlabelled := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "unlabelled", Namespace: "app-space"}}
	if reaches(t, unlabelled, *database, 5432) {
		t.Error("a pod of app-space that is not the API: expected that NetworkPolicies keep it from the database")
	}

	for _, space := range []string{"app-space", "db-space", "spin-space"} {
		if warnings := unexpected(events(space, corev1.EventTypeWarning)); len(warnings) > 0 {
			t.Errorf("%s: expected no warning, seen %q", space, warnings)
		}
		count := map[string]int{}
		for name := range objectsOf(t, space, "") {
			kind, _, _ := strings.Cut(name, "/")
			count[kind]++
		}
		var line []string
		for _, kind := range slices.Sorted(maps.Keys(count)) {
			line = append(line, fmt.Sprintf("%d %s", count[kind], kind))
		}
		report.note("Objects after the presets for minikube", "%s: %s", space, strings.Join(line, ", "))
	}

	helm(t, "uninstall", "hello-api", "-n", "spin-space", "--wait")
	helm(t, "uninstall", "hello-api", "-n", "app-space", "--wait")
	helm(t, "uninstall", "postgres-db", "-n", "db-space", "--wait")
}

func TestPresetForAWSIsAccepted(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	helm(t, "install", "hello-api", chart("hello-api"), "-n", space, "-f", chart("hello-api/values.aws.yaml"))
	// The minimum of the autoscaler.
	waitForDeployment(t, space, 3)
	zones, _ := placement(t, space)
	if expected := (map[string]int{"zone-a": 1, "zone-b": 1, "zone-c": 1}); !maps.Equal(zones, expected) {
		t.Errorf("pods by zone: expected %v, seen %v", expected, zones)
	}
	report.note("Seen", "the preset for AWS: %s; 3 pods in %v", strings.Join(written(t, space), ", "), zones)
}

// unexpected leaves out warnings that are normal here: there is no metrics server for the autoscaler.
func unexpected(warnings []string) []string {
	return slices.DeleteFunc(warnings, func(warning string) bool { return strings.HasPrefix(warning, "HorizontalPodAutoscaler/") })
}

// reaches is true if the NetworkPolicies of the cluster let one pod open a connection to another. Nothing enforces them here; this reads them like a CNI.
func reaches(t *testing.T, from, to corev1.Pod, port int32) bool {
	t.Helper()
	out := policiesOf(t, from, networkingv1.PolicyTypeEgress)
	in := policiesOf(t, to, networkingv1.PolicyTypeIngress)
	mayLeave := len(out) == 0 || slices.ContainsFunc(out, func(policy networkingv1.NetworkPolicy) bool {
		return slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			return admits(t, policy.Namespace, rule.To, rule.Ports, to, to, port)
		})
	})
	mayEnter := len(in) == 0 || slices.ContainsFunc(in, func(policy networkingv1.NetworkPolicy) bool {
		return slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
			return admits(t, policy.Namespace, rule.From, rule.Ports, from, to, port)
		})
	})
	return mayLeave && mayEnter
}

func policiesOf(t *testing.T, pod corev1.Pod, direction networkingv1.PolicyType) []networkingv1.NetworkPolicy {
	t.Helper()
	list, err := client.NetworkingV1().NetworkPolicies(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(policy networkingv1.NetworkPolicy) bool {
		return !slices.Contains(policy.Spec.PolicyTypes, direction) || !selects(t, &policy.Spec.PodSelector, pod.Labels)
	})
}

func admits(t *testing.T, own string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, peer, server corev1.Pod, port int32) bool {
	t.Helper()
	space, err := client.CoreV1().Namespaces().Get(ctx, peer.Namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	isPeer := len(peers) == 0 || slices.ContainsFunc(peers, func(candidate networkingv1.NetworkPolicyPeer) bool {
		if candidate.IPBlock != nil {
			return false
		}
		inSpace := peer.Namespace == own
		if candidate.NamespaceSelector != nil {
			inSpace = selects(t, candidate.NamespaceSelector, space.Labels)
		}
		return inSpace && (candidate.PodSelector == nil || selects(t, candidate.PodSelector, peer.Labels))
	})
	isPort := len(ports) == 0 || slices.ContainsFunc(ports, func(candidate networkingv1.NetworkPolicyPort) bool {
		if candidate.Port == nil || candidate.Port.IntVal == port {
			return true
		}
		// A port name refers to the pod that accepts the connection.
		return slices.ContainsFunc(server.Spec.Containers[0].Ports, func(named corev1.ContainerPort) bool {
			return named.Name == candidate.Port.StrVal && named.ContainerPort == port
		})
	})
	return isPeer && isPort
}

func selects(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	matcher, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return matcher.Matches(labels.Set(of))
}

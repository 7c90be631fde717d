package cluster

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// A pod that passes `restricted`; the rest of a container follows.
const restrictedPod = `{apiVersion: v1, kind: Pod, metadata: {name: probe}, spec: {
  automountServiceAccountToken: false,
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}},
  containers: [{name: probe, image: example.com/probe, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}%s}]}}`

func TestPodThatBreaksRestrictedIsRefused(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	_, err := cluster.Kubectl("", "run", "rooted", "--image=example.com/rooted", "-n", space, "--restart=Never")
	refused(t, "a pod without a security context, in a namespace that enforces `restricted`", err,
		`violates PodSecurity "restricted:latest"`, "allowPrivilegeEscalation != false", "unrestricted capabilities", "runAsNonRoot != true", "seccompProfile")

	// The pods differ only in the security context.
	kubectl(t, fmt.Sprintf(restrictedPod, ""), "apply", "-n", space, "-f", "-")
}

func TestPodOverQuotaIsRefused(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres, "resourceQuota: {enabled: true, hard: {requests.cpu: 500m, limits.memory: 2Gi}}")
	big := fmt.Sprintf(restrictedPod, ", resources: {requests: {cpu: 400m}, limits: {memory: 64Mi}}")
	_, err := cluster.Kubectl(big, "apply", "-n", space, "-f", "-")
	refused(t, "a pod that asks for 400m CPU, where 200m of 500m are taken", err,
		"exceeded quota: hello-api", "requested: requests.cpu=400m", "used: requests.cpu=200m", "limited: requests.cpu=500m")

	_, err = cluster.Kubectl(fmt.Sprintf(restrictedPod, ", resources: {requests: {cpu: 100m}}"), "apply", "-n", space, "-f", "-")
	refused(t, "a pod without a memory limit, where the quota has one", err, "failed quota: hello-api: must specify limits.memory")
}

func TestLimitRangeGivesDefaults(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres, "resourceQuota: {enabled: true}\nlimitRange: {enabled: true}")
	kubectl(t, fmt.Sprintf(restrictedPod, ""), "apply", "-n", space, "-f", "-")
	pod, err := client.CoreV1().Pods(space).Get(ctx, "probe", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	resources := pod.Spec.Containers[0].Resources
	equal(t, "default CPU request", "50m", resources.Requests.Cpu().String())
	equal(t, "default memory request", "32Mi", resources.Requests.Memory().String())
	equal(t, "default memory limit", "128Mi", resources.Limits.Memory().String())
	if _, limited := resources.Limits[corev1.ResourceCPU]; limited {
		t.Errorf("expected no CPU limit, seen %s", resources.Limits.Cpu())
	}
	report.note("Seen", "a container that says nothing gets from the LimitRange: requests %s CPU and %s, at most %s",
		resources.Requests.Cpu(), resources.Requests.Memory(), resources.Limits.Memory())
}

// The account of the API may do nothing in the cluster: its token is not mounted, and would not help.
func TestAccountOfTheAPIHasNoRights(t *testing.T) {
	space := namespace(t, "app-space", "restricted")
	install(t, space, onPostgres)
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate.UserName = "system:serviceaccount:" + space + ":hello-api"
	account, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = account.CoreV1().Secrets(space).List(ctx, metav1.ListOptions{})
	refused(t, "the API's ServiceAccount reading Secrets of its namespace", err, "cannot list resource \"secrets\"")
	for _, pod := range pods(t, space, thePods) {
		for _, volume := range pod.Spec.Volumes {
			if volume.Projected != nil || strings.HasPrefix(volume.Name, "kube-api-access") {
				t.Errorf("%s: expected no token, seen volume %s", pod.Name, volume.Name)
			}
		}
	}
}

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Stand-ins for programs that need a machine: minikube, spin, and the parts of kubectl that need a kubelet. They record their calls.
var standIns = map[string]string{
	"minikube": `
echo "minikube $*" >>"$STAND_IN/asked"
case "$1 $2" in
"status "*) [ ! -e "$STAND_IN/running" ] || echo Running ;;
"start "*) touch "$STAND_IN/running" ;;
"delete "*) rm "$STAND_IN/running" ;;
"image load") [ ! -s "$3" ] || echo docker.io/library/birthday-host:0.1.0 >"$STAND_IN/images" ;;
"image ls") cat "$STAND_IN/images" ;;
"addons enable") kubectl --context birthday apply --filename "$STAND_IN/registry.yaml" ;;
"ip "*) echo "$ADDRESS" ;;
*) exit 64 ;;
esac`,
	"spin": `
echo "spin $*" >>"$STAND_IN/asked"`,
	"kubectl": `
case " $* " in
*" port-forward "*)
    echo "Forwarding from 127.0.0.1:${ADDRESS##*:} -> 80"
    echo $$ >>"$STAND_IN/forwards"
    exec sleep 600 ;;
esac
exec "$KUBECTL" "$@"`,
}

// The objects of minikube's addon that the script waits for.
const registry = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: registry, namespace: kube-system}, spec: {selector: {matchLabels: {app: registry}},
  template: {metadata: {labels: {app: registry}}, spec: {containers: [{name: registry, image: example.com/registry}]}}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: registry-proxy, namespace: kube-system}, spec: {selector: {matchLabels: {app: registry-proxy}},
  template: {metadata: {labels: {app: registry-proxy}}, spec: {containers: [{name: registry-proxy, image: example.com/registry-proxy}]}}}}
`

// The kind of runtime-class-manager that the script creates.
const shims = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shims.runtime.spinkube.dev}
spec:
  group: runtime.spinkube.dev
  names: {kind: Shim, plural: shims}
  scope: Cluster
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

type minikube struct {
	dir         string
	environment []string
}

func write(t *testing.T, mode os.FileMode, text string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// newMinikube makes kubectl and helm use the real control plane by the name in the script, without a current context. A server answers at the address.
func newMinikube(t *testing.T) *minikube {
	t.Helper()
	dir, err := os.MkdirTemp(cluster.Dir, "minikube-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, script := range standIns {
		write(t, 0o755, "#!/usr/bin/env bash\nset -eu"+script+"\n", dir, "bin", name)
	}
	write(t, 0o644, "", dir, "images")
	write(t, 0o644, registry, dir, "registry.yaml")
	write(t, 0o644, "apiVersion: v2\nname: stand-in\nversion: 0.0.0\n", dir, "chart/Chart.yaml")
	write(t, 0o644, shims, dir, "chart/crds/shims.yaml")

	config, err := os.ReadFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := write(t, 0o600, string(config), dir, "kubeconfig")
	current := strings.TrimSpace(kubectl(t, "", "--kubeconfig", kubeconfig, "config", "current-context"))
	kubectl(t, "", "--kubeconfig", kubeconfig, "config", "rename-context", current, "birthday")
	kubectl(t, "", "--kubeconfig", kubeconfig, "config", "unset", "current-context")

	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(api.Close)
	// The script works in its own folder: a copy with our charts and with fake builds.
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"scripts", "charts", "spin.toml"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, 0o644, "a component", dir, "target/wasm32-wasip2/component/birthday.wasm")
	write(t, 0o644, "an image", dir, "target/image/birthday-host-0.1.0-amd64.oci.tar")

	m := &minikube{dir: dir, environment: append(os.Environ(),
		"PATH="+filepath.Join(dir, "bin")+":"+cluster.Bin+":"+os.Getenv("PATH"),
		"KUBECONFIG="+kubeconfig,
		"KUBECTL="+filepath.Join(cluster.Bin, "kubectl"),
		"STAND_IN="+dir,
		"ADDRESS="+api.Listener.Addr().String(),
		"TIMEOUT=90s",
		"SPIN_OPERATOR_CRDS="+spinDefinitions(t, dir),
	)}
	for _, name := range []string{"TRAEFIK", "CERT_MANAGER", "RUNTIME_CLASS_MANAGER", "SPIN_OPERATOR"} {
		m.environment = append(m.environment, name+"_CHART="+filepath.Join(dir, "chart"))
	}
	t.Cleanup(func() { m.run("undeploy") })
	go m.beTheKubelet(t.Context())
	return m
}

// spinDefinitions writes the operator's definitions from the cluster to a file that the script applies.
func spinDefinitions(t *testing.T, dir string) string {
	t.Helper()
	var list struct {
		Items []map[string]any `json:"items"`
	}
	text := kubectl(t, "", "get", "crd", "spinapps.core.spinkube.dev", "spinappexecutors.core.spinkube.dev", "-o", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, item := range list.Items {
		delete(item, "status")
		item["metadata"] = map[string]any{"name": item["metadata"].(map[string]any)["name"]}
		object, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "---\n%s\n", object)
	}
	return write(t, 0o644, all.String(), dir, "spin-operator.crds.yaml")
}

// beTheKubelet lets the pods of `helm test` succeed, and marks the shim as installed on the nodes, because there is no kubelet.
func (m *minikube) beTheKubelet(ctx context.Context) {
	shims := schema.GroupVersionResource{Group: "runtime.spinkube.dev", Version: "v1alpha1", Resource: "shims"}
	for ctx.Err() == nil {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err == nil {
			for _, pod := range pods.Items {
				if pod.Annotations["helm.sh/hook"] == "test" && pod.Status.Phase != corev1.PodSucceeded {
					pod.Status.Phase = corev1.PodSucceeded
					// It may be gone, or changed: the next round tries again.
					client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, &pod, metav1.UpdateOptions{})
				}
			}
		}
		if nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "spin=true"}); err == nil {
			status := fmt.Sprintf(`{"status": {"nodesReady": %d}}`, len(nodes.Items))
			objects.Resource(shims).Patch(ctx, "spin-v2", types.MergePatchType, []byte(status), metav1.PatchOptions{})
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// run runs a step, and returns what it printed.
func (m *minikube) run(step string, environment ...string) (string, error) {
	command := exec.Command(filepath.Join(m.dir, "scripts/minikube"), step)
	command.Env = append(m.environment, environment...)
	output, err := command.CombinedOutput()
	return string(output), err
}

func (m *minikube) must(t *testing.T, step string, lines ...string) {
	t.Helper()
	output, err := m.run(step)
	if err != nil {
		t.Fatalf("scripts/minikube %s: %v\n%s", step, err, output)
	}
	for _, line := range lines {
		if !strings.Contains(output, line) {
			t.Errorf("scripts/minikube %s: expected %q in\n%s", step, line, output)
		}
	}
}

func (m *minikube) fails(t *testing.T, step, reason string, environment ...string) {
	t.Helper()
	output, err := m.run(step, environment...)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if last := lines[len(lines)-1]; err == nil || !strings.HasPrefix(last, "failed: ") || !strings.Contains(last, reason) {
		t.Errorf("scripts/minikube %s: expected it to fail with %q, seen %v and\n%s", step, reason, err, output)
	}
}

func (m *minikube) asked(t *testing.T, what string) {
	t.Helper()
	asked, err := os.ReadFile(filepath.Join(m.dir, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(asked), what) {
		t.Errorf("expected to be asked %q, seen\n%s", what, asked)
	}
}

// The namespaces have fixed names here, so this is one test with one step after the other.
func TestStepsForMinikube(t *testing.T) {
	m := newMinikube(t)
	m.fails(t, "deploy", "the cluster birthday is not running: make minikube-up")
	m.fails(t, "fly", "usage: ")
	m.must(t, "up", "the cluster is up")
	m.asked(t, "minikube start --profile birthday --kubernetes-version v1.")
	m.must(t, "up", "the cluster birthday is running")

	m.fails(t, "deploy", "there is no nowhere.tar: make image", "IMAGE_ARCHIVE=nowhere.tar")
	empty := write(t, 0o644, "", m.dir, "empty.tar")
	m.fails(t, "deploy", "the cluster does not have the image birthday-host:0.1.0", "IMAGE_ARCHIVE="+empty)
	address := m.value("ADDRESS")
	m.must(t, "deploy", "curl -i -H 'Host: hello-world.local' http://"+address+"/hello/bob")
	m.asked(t, "minikube image load target/image/birthday-host-0.1.0-amd64.oci.tar")
	password := secret(t, "db-space", "postgres-db-api", "database_password")
	m.must(t, "deploy")
	equal(t, "the password after a repetition", password, secret(t, "app-space", "hello-api-database", "database_password"))
	for _, pod := range pods(t, "app-space", "app.kubernetes.io/name=hello-api") {
		if len(pod.Annotations["birthday/archive-sha256"]) != 64 {
			t.Errorf("expected the pod to say from which archive it is, seen %q", pod.Annotations)
		}
	}

	m.must(t, "deploy-spin", "Host: hello-spin.local")
	m.asked(t, "spin registry push --insecure localhost:"+address[strings.LastIndex(address, ":")+1:]+"/birthday:0.1.0-")
	for _, pod := range pods(t, "spin-space", "app.kubernetes.io/name=hello-api") {
		if image := pod.Spec.Containers[0].Image; !strings.HasPrefix(image, "localhost:5000/birthday:0.1.0-") {
			t.Errorf("expected the image that was pushed, seen %s", image)
		}
	}
	equal(t, "the password of the SpinApp", password, secret(t, "spin-space", "hello-api-database", "database_password"))
	m.checkForwardsEnded(t)

	m.must(t, "undeploy", "uninstalling hello-api from app-space", "uninstalling hello-api from spin-space", "uninstalling postgres-db")
	for _, name := range []string{"app-space", "db-space", "spin-space"} {
		if _, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the namespace %s after undeploy: expected to be gone, seen %v", name, err)
		}
	}
	m.must(t, "undeploy")

	// With a quota that is too small the step fails, and must print the reason.
	kubectl(t, "", "create", "namespace", "db-space")
	kubectl(t, "", "create", "quota", "none", "--hard=pods=0", "-n", "db-space")
	output, _ := m.run("deploy", "TIMEOUT=10s")
	for _, line := range []string{"exceeded quota: none", "failed: helm did not get postgres-db ready in db-space"} {
		if !strings.Contains(output, line) {
			t.Errorf("a database that cannot start: expected %q in\n%s", line, output)
		}
	}
	m.must(t, "undeploy")
	m.must(t, "down")
	m.asked(t, "minikube delete --profile birthday")
	report.note("Seen", "scripts/minikube up, deploy, deploy-spin, undeploy and down, with stand-ins for minikube, spin and `kubectl port-forward`")
}

func (m *minikube) value(name string) string {
	for _, variable := range m.environment {
		if value, is := strings.CutPrefix(variable, name+"="); is {
			return value
		}
	}
	return ""
}

func (m *minikube) checkForwardsEnded(t *testing.T) {
	t.Helper()
	forwards, err := os.ReadFile(filepath.Join(m.dir, "forwards"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(forwards)) {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("a forwarded port: expected to be gone, seen process %s", pid)
		}
	}
}

package controlplane

import (
	"context"
	"debug/buildinfo"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

//go:embed crds.txt
var definitions string

// webhookPort is the port of the spin-operator's webhooks. It has no option for another port.
const webhookPort = 9443

// moduleDir returns the folder of a Go module, which is downloaded if it is missing.
func (c *Cluster) moduleDir(module, version string) (string, error) {
	// The folder of the cluster has no go.mod that could choose another version.
	output, err := c.run([]string{"GOWORK=off", "GOFLAGS="}, "", "go", "-C", c.Dir, "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	var download struct{ Dir string }
	if err := json.Unmarshal([]byte(output), &download); err != nil {
		return "", err
	}
	return download.Dir, nil
}

// sourceOf returns the folder of a module, in the version that one of our programs was built from.
func (c *Cluster) sourceOf(program, module string) (string, error) {
	info, err := buildinfo.ReadFile(filepath.Join(c.Bin, program))
	if err != nil {
		return "", err
	}
	for _, part := range append(info.Deps, &info.Main) {
		if part.Path == module {
			return c.moduleDir(module, part.Version)
		}
	}
	return "", fmt.Errorf("%s was not built from %s", program, module)
}

// apply applies YAML that may have several documents.
func (c *Cluster) apply(objects string) error {
	_, err := c.Kubectl(objects, "apply", "--server-side", "-f", "-")
	return err
}

func (c *Cluster) startNodes() error {
	source, err := c.sourceOf("kwok", "sigs.k8s.io/kwok")
	if err != nil {
		return err
	}
	stages, err := slowPods(source)
	if err != nil {
		return err
	}
	for _, file := range []string{
		"pod/fast/pod-complete", "pod/fast/pod-delete", "node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease",
	} {
		text, err := os.ReadFile(filepath.Join(source, "kustomize/stage", file+".yaml"))
		if err != nil {
			return err
		}
		stages += "---\n" + string(text)
	}
	if err := os.WriteFile(c.path("stages.yaml"), []byte(stages), 0o600); err != nil {
		return err
	}

	role, err := os.ReadFile(filepath.Join(source, "kustomize/rbac/role.yaml"))
	if err != nil {
		return err
	}
	objects := string(role) + bindingOf("kwok-controller", "{kind: User, name: kwok, apiGroup: rbac.authorization.k8s.io}") + volumes()
	if err := c.apply(objects); err != nil {
		return err
	}

	kubeconfig, err := c.kubeconfigOf("kwok")
	if err != nil {
		return err
	}
	kwok, err := c.start("kwok", nil, "--kubeconfig="+kubeconfig, "--config="+c.path("stages.yaml"), "--manage-all-nodes", "--node-lease-duration-seconds=40")
	if err != nil {
		return err
	}

	var names []string
	for _, zone := range []string{"a", "b", "c"} {
		for _, number := range []string{"1", "2"} {
			names = append(names, "node-"+zone+number)
			if err := c.createNode("node-"+zone+number, "zone-"+zone); err != nil {
				return err
			}
		}
	}
	return eventually("the nodes are ready", kwok, time.Minute, func() error {
		for _, name := range names {
			node, err := c.Client.CoreV1().Nodes().Get(context.Background(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if !isReady(node) {
				return fmt.Errorf("%s is not ready", name)
			}
		}
		return nil
	})
}

// volumes are a default storage class, and a stock of volumes of it: claims are bound to them by the real controller, when the real scheduler has placed a pod.
// None is used twice, so there must be more of them than claims.
func volumes() string {
	objects := `
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: stock, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
`
	for number := range 50 {
		objects += fmt.Sprintf(`
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: stock-%02d}
spec: {storageClassName: stock, capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Retain, hostPath: {path: /nowhere}}
`, number)
	}
	return objects
}

// slowPods is kwok's stage in which a pod becomes ready, with a delay of one to two seconds, so that a rollout has to wait for it.
func slowPods(source string) (string, error) {
	text, err := os.ReadFile(filepath.Join(source, "kustomize/stage/pod/fast/pod-ready.yaml"))
	if err != nil {
		return "", err
	}
	var stage map[string]any
	if err := yaml.Unmarshal(text, &stage); err != nil {
		return "", err
	}
	stage["spec"].(map[string]any)["delay"] = map[string]any{"durationMilliseconds": 1000, "jitterDurationMilliseconds": 2000}
	text, err = yaml.Marshal(stage)
	return string(text), err
}

func (c *Cluster) createNode(name, zone string) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("4"),
		corev1.ResourceMemory:           resource.MustParse("16Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("64Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname:       name,
			corev1.LabelOSStable:       "linux",
			corev1.LabelArchStable:     "amd64",
			corev1.LabelTopologyZone:   zone,
			corev1.LabelTopologyRegion: "region",
		}},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
	}
	_, err := c.Client.CoreV1().Nodes().Create(context.Background(), node, metav1.CreateOptions{})
	return err
}

func isReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (c *Cluster) applyDefinitions() error {
	arguments := []string{"apply", "--server-side"}
	for line := range strings.Lines(definitions) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		dir, err := c.moduleDir(words[0], words[1])
		if err != nil {
			return err
		}
		arguments = append(arguments, "-f", filepath.Join(dir, words[2]))
	}
	source, err := c.sourceOf("spin-operator", "github.com/spinkube/spin-operator")
	if err != nil {
		return err
	}
	if _, err := c.Kubectl("", append(arguments, "-f", filepath.Join(source, "config/crd/bases"))...); err != nil {
		return err
	}
	return eventually("the definitions are established", c.server, time.Minute, c.areEstablished)
}

// areEstablished replaces `kubectl wait`, which fails on a definition without conditions.
func (c *Cluster) areEstablished() error {
	text, err := c.Client.RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").DoRaw(context.Background())
	if err != nil {
		return err
	}
	var list struct {
		Items []struct {
			Metadata metav1.ObjectMeta
			Status   struct{ Conditions []metav1.Condition }
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, definition := range list.Items {
		if !meta.IsStatusConditionTrue(definition.Status.Conditions, "Established") {
			return fmt.Errorf("%s is not established", definition.Metadata.Name)
		}
	}
	return nil
}

// startSpinOperator runs the operator as its own service account, with the rights of its role, and lets the API server call its webhooks.
func (c *Cluster) startSpinOperator() error {
	source, err := c.sourceOf("spin-operator", "github.com/spinkube/spin-operator")
	if err != nil {
		return err
	}
	role, err := os.ReadFile(filepath.Join(source, "config/rbac/role.yaml"))
	if err != nil {
		return err
	}
	runtimeClass, err := os.ReadFile(filepath.Join(source, "config/samples/spin-runtime-class.yaml"))
	if err != nil {
		return err
	}
	objects := string(role) + "\n---\n" + string(runtimeClass) + `
---
{apiVersion: v1, kind: Namespace, metadata: {name: spin-operator}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: controller-manager, namespace: spin-operator}}
` + bindingOf("manager-role", "{kind: ServiceAccount, name: controller-manager, namespace: spin-operator}")
	if err := c.apply(objects); err != nil {
		return err
	}
	day := int64(24 * 3600)
	token, err := c.Client.CoreV1().ServiceAccounts("spin-operator").CreateToken(context.Background(), "controller-manager",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	kubeconfig, err := c.writeKubeconfig("spin-operator", &clientcmdapi.AuthInfo{Token: token.Status.Token})
	if err != nil {
		return err
	}

	// controller-runtime looks for the certificate here, under TMPDIR.
	folder := c.path("k8s-webhook-server/serving-certs")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	serving, err := c.authority.serving()
	if err != nil {
		return err
	}
	if _, _, err := serving.write(filepath.Join(folder, "tls")); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	health := fmt.Sprintf("127.0.0.1:%d", ports[0])
	operator, err := c.start("spin-operator", []string{"TMPDIR=" + c.Dir}, "--kubeconfig="+kubeconfig, "--enable-webhooks",
		"--metrics-bind-address=0", "--health-probe-bind-address="+health)
	if err != nil {
		return err
	}
	if err := eventually("the webhooks listen", operator, time.Minute, func() error { return connect(webhookPort) }); err != nil {
		return err
	}

	text, err := os.ReadFile(filepath.Join(source, "config/webhook/manifests.yaml"))
	if err != nil {
		return err
	}
	webhooks, err := byURL(string(text), c.authority.pem)
	if err != nil {
		return err
	}
	return c.apply(webhooks)
}

// byURL makes the API server call webhooks on this machine, because the Service has no pod.
func byURL(manifests string, ca []byte) (string, error) {
	var result string
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		var configuration struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
			Webhooks          []map[string]any `json:"webhooks"`
		}
		if err := yaml.Unmarshal([]byte(document), &configuration); err != nil {
			return "", err
		}
		for _, webhook := range configuration.Webhooks {
			service := webhook["clientConfig"].(map[string]any)["service"].(map[string]any)
			webhook["clientConfig"] = map[string]any{"url": fmt.Sprintf("https://127.0.0.1:%d%s", webhookPort, service["path"]), "caBundle": ca}
		}
		text, err := yaml.Marshal(configuration)
		if err != nil {
			return "", err
		}
		result += "---\n" + string(text)
	}
	return result, nil
}

func bindingOf(role, subject string) string {
	return fmt.Sprintf("\n---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: %s},\n"+
		" roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s},\n subjects: [%s]}\n", role, role, subject)
}

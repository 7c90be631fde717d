// Package controlplane starts a real Kubernetes control plane on this machine, without containers and without privileges: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler, with nodes that kwok simulates, and the spin-operator with its webhooks. Linux only.
package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// grace is the time that a process may take to stop. No process has work to save, because the state is deleted.
const grace = 5 * time.Second

// Cluster is a running control plane. All that it has written is in Dir.
type Cluster struct {
	Dir        string
	Bin        string
	Kubeconfig string
	Config     *rest.Config
	Client     *kubernetes.Clientset

	address   string
	authority *authority
	processes []*process
	server    *process
	// Programs that run to their end are killed and waited for when the cluster stops.
	stopping context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// Start starts all processes, with the programs of bin, and returns when the cluster serves. If one fails, the others are stopped again.
// The folder with the logs then stays, and the error names it. A machine can have one spin-operator.
func Start(bin string, withSpinOperator bool, say func(string)) (*Cluster, error) {
	// Checked first, so that nothing is started in vain.
	if withSpinOperator && connect(webhookPort) == nil {
		return nil, fmt.Errorf("port %d is taken, where the spin-operator's webhooks must listen: is another cluster running?", webhookPort)
	}
	dir, err := os.MkdirTemp("", "test-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Bin: bin}
	c.stopping, c.stop = context.WithCancel(context.Background())
	type step struct {
		name string
		do   func() error
	}
	steps := []step{
		{"certificates", c.makeCertificates},
		{"etcd and kube-apiserver", c.startServer},
		{"kube-controller-manager and kube-scheduler", c.startControllers},
		{"kwok, with six nodes in three zones", c.startNodes},
		{"custom resource definitions", c.applyDefinitions},
	}
	if withSpinOperator {
		steps = append(steps, step{"spin-operator, with its webhooks", c.startSpinOperator})
	}
	for _, step := range steps {
		start := time.Now()
		if err := step.do(); err != nil {
			c.stopProcesses()
			return nil, fmt.Errorf("%s: %w\nlogs are in %s", step.name, err, dir)
		}
		say(fmt.Sprintf("%s: %.1f s", step.name, time.Since(start).Seconds()))
	}
	return c, nil
}

// Stop ends all processes, and leaves only their logs, in the given folder.
func (c *Cluster) Stop(logs string) error {
	c.stopProcesses()
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	for _, p := range c.processes {
		text, err := os.ReadFile(p.log)
		if err == nil {
			err = os.WriteFile(filepath.Join(logs, p.name+".log"), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return os.RemoveAll(c.Dir)
}

// Ended names the first process that has ended by itself, if any.
func (c *Cluster) Ended() error {
	for _, p := range c.processes {
		select {
		case <-p.ended:
			return p.failure()
		default:
		}
	}
	return nil
}

// Environment makes kubectl and helm use this cluster, and no files of the user.
func (c *Cluster) Environment() []string {
	return []string{
		"KUBECONFIG=" + c.Kubeconfig, "HOME=" + c.Dir, "KUBECACHEDIR=" + c.Dir + "/cache",
		"HELM_CACHE_HOME=" + c.Dir + "/helm/cache", "HELM_CONFIG_HOME=" + c.Dir + "/helm/config", "HELM_DATA_HOME=" + c.Dir + "/helm/data",
	}
}

// Kubectl runs kubectl as an administrator. Server-side strict field validation is its default.
func (c *Cluster) Kubectl(stdin string, arguments ...string) (string, error) {
	return c.run(c.Environment(), stdin, filepath.Join(c.Bin, "kubectl"), arguments...)
}

// Helm runs helm as an administrator.
func (c *Cluster) Helm(arguments ...string) (string, error) {
	return c.run(c.Environment(), "", filepath.Join(c.Bin, "helm"), arguments...)
}

func (c *Cluster) start(program string, environment []string, arguments ...string) (*process, error) {
	p, err := startProcess(c.Dir, filepath.Join(c.Bin, program), environment, arguments...)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

// stopProcesses stops the last started first.
func (c *Cluster) stopProcesses() {
	c.stop()
	c.running.Wait()
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].stop(grace)
	}
}

func (c *Cluster) path(name string) string { return filepath.Join(c.Dir, name) }

func (c *Cluster) makeCertificates() error {
	var err error
	if c.authority, err = newAuthority(); err != nil {
		return err
	}
	if err := os.WriteFile(c.path("ca.crt"), c.authority.pem, 0o600); err != nil {
		return err
	}
	serving, err := c.authority.serving("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if err != nil {
		return err
	}
	if _, _, err = serving.write(c.path("serving")); err != nil {
		return err
	}
	// Only its key is used, to sign the tokens of service accounts.
	accounts, err := c.authority.client("service-accounts")
	if err != nil {
		return err
	}
	_, _, err = accounts.write(c.path("accounts"))
	return err
}

func (c *Cluster) startServer() error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	certificate, key, ca := c.path("serving.crt"), c.path("serving.key"), c.path("ca.crt")
	store := fmt.Sprintf("https://127.0.0.1:%d", ports[0])
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	// The data need not survive a power failure.
	etcd, err := c.start("etcd", nil, "--name=test", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer,
		"--cert-file="+certificate, "--key-file="+key, "--trusted-ca-file="+ca, "--client-cert-auth")
	if err != nil {
		return err
	}
	if err := eventually("etcd listens", etcd, 30*time.Second, func() error { return connect(ports[0]) }); err != nil {
		return err
	}

	c.address = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	c.server, err = c.start("kube-apiserver", nil,
		"--etcd-servers="+store, "--etcd-cafile="+ca, "--etcd-certfile="+certificate, "--etcd-keyfile="+key,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[2]), "--tls-cert-file="+certificate, "--tls-private-key-file="+key,
		"--client-ca-file="+ca, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+c.path("accounts.key"), "--service-account-signing-key-file="+c.path("accounts.key"),
		// An endpoint may not be a loopback address, and there is no pod to use it.
		"--endpoint-reconciler-type=none")
	if err != nil {
		return err
	}
	if c.Kubeconfig, err = c.kubeconfigOf("admin", "system:masters"); err != nil {
		return err
	}
	if c.Config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		return err
	}
	// Tests send many requests in a short time.
	c.Config.QPS, c.Config.Burst = 200, 400
	// helm and kubectl print the server's warnings about deprecation.
	c.Config.WarningHandler = rest.NoWarnings{}
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	return eventually("kube-apiserver is ready", c.server, 2*time.Minute, func() error {
		return c.Client.RESTClient().Get().AbsPath("/readyz").Do(context.Background()).Error()
	})
}

func (c *Cluster) startControllers() error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	kubeconfig, err := c.kubeconfigOf("system:kube-controller-manager")
	if err != nil {
		return err
	}
	certificate, key := c.path("serving.crt"), c.path("serving.key")
	manager, err := c.start("kube-controller-manager", nil,
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]), "--tls-cert-file="+certificate, "--tls-private-key-file="+key,
		"--authentication-tolerate-lookup-failure", "--client-ca-file="+c.path("ca.crt"),
		"--service-account-private-key-file="+c.path("accounts.key"), "--root-ca-file="+c.path("ca.crt"), "--use-service-account-credentials",
		"--leader-elect=false",
		// The default is 15 s, and a test would wait for it.
		"--horizontal-pod-autoscaler-sync-period=3s")
	if err != nil {
		return err
	}
	if kubeconfig, err = c.kubeconfigOf("system:kube-scheduler"); err != nil {
		return err
	}
	scheduler, err := c.start("kube-scheduler", nil,
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[1]), "--tls-cert-file="+certificate, "--tls-private-key-file="+key,
		"--authentication-tolerate-lookup-failure", "--client-ca-file="+c.path("ca.crt"), "--leader-elect=false")
	if err != nil {
		return err
	}
	for i, p := range []*process{manager, scheduler} {
		if err := eventually(p.name+" is healthy", p, time.Minute, func() error { return c.healthy(ports[i]) }); err != nil {
			return err
		}
	}
	return nil
}

// healthy asks a component for /healthz, which needs no credentials.
func (c *Cluster) healthy(port int) error {
	client, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: c.authority.pem}, Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	response, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/healthz", port))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return fmt.Errorf("/healthz answers %s", response.Status)
	}
	return nil
}

// kubeconfigOf writes a kubeconfig for this user.
func (c *Cluster) kubeconfigOf(user string, groups ...string) (string, error) {
	identity, err := c.authority.client(user, groups...)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig(user, &clientcmdapi.AuthInfo{ClientCertificateData: identity.certificate, ClientKeyData: identity.key})
}

func (c *Cluster) writeKubeconfig(user string, auth *clientcmdapi.AuthInfo) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["test-cluster"] = &clientcmdapi.Cluster{Server: c.address, CertificateAuthorityData: c.authority.pem}
	config.AuthInfos[user] = auth
	config.Contexts["test-cluster"] = &clientcmdapi.Context{Cluster: "test-cluster", AuthInfo: user}
	config.CurrentContext = "test-cluster"
	path := c.path(strings.TrimPrefix(user, "system:") + ".kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// installDatabase installs postgres-db for one client namespace, with its preset for minikube.
func installDatabase(t *testing.T, space, client string, more ...string) {
	t.Helper()
	helm(t, append([]string{"install", "postgres-db", chart("postgres-db"), "-n", space, "-f", chart("postgres-db") + "/values.local.yaml",
		"--set", "clients.namespaces={" + client + "}", "--wait", "--timeout=3m"}, more...)...)
}

func secret(t *testing.T, space, name, key string) string {
	t.Helper()
	secret, err := client.CoreV1().Secrets(space).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(secret.Data[key]) == 0 {
		t.Fatalf("the Secret %s in %s has no %s", name, space, key)
	}
	return string(secret.Data[key])
}

func TestDatabaseIsReadyInRestrictedNamespace(t *testing.T) {
	space, api := namespace(t, "db-space", "restricted"), namespace(t, "app-space", "restricted")
	installDatabase(t, space, api)
	set, err := client.AppsV1().StatefulSets(space).Get(ctx, "postgres-db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "ready pods of the StatefulSet", 1, set.Status.ReadyReplicas)
	claim, err := client.CoreV1().PersistentVolumeClaims(space).Get(ctx, "data-postgres-db-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "phase of the claim", corev1.ClaimBound, claim.Status.Phase)
	eventually(t, "the Service leads to the pod", func() error {
		if seen := endpoints(t, space, "postgres-db"); seen != 1 {
			return fmt.Errorf("%d endpoints", seen)
		}
		return nil
	})
	if !slices.ContainsFunc(events(space, corev1.EventTypeNormal), func(event string) bool {
		return strings.HasPrefix(event, "Job/postgres-db-migration: Completed")
	}) {
		t.Errorf("expected the hook Job to have completed, seen %q", events(space, corev1.EventTypeNormal))
	}
	// It deletes itself when it has succeeded.
	if _, err := client.BatchV1().Jobs(space).Get(ctx, "postgres-db-migration", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Job after it has succeeded: expected to be gone, seen %v", err)
	}
	report.note("Seen", "postgres-db: the StatefulSet is ready, its claim bound, the hook Job was run (by kwok: no SQL) before helm returned")
	report.note("Objects of postgres-db", "%s", strings.Join(names(objectsOf(t, space, "app.kubernetes.io/instance=postgres-db")), "\n"))
}

func TestPasswordsAreMadeOnceAndKept(t *testing.T) {
	space, api := namespace(t, "db-space", "restricted"), namespace(t, "app-space", "restricted")
	passwords := func() [3]string {
		return [3]string{
			secret(t, space, "postgres-db", "postgres-password"),
			secret(t, space, "postgres-db-api", "database_password"),
			secret(t, api, "hello-api-database", "database_password"),
		}
	}
	same := func(when string, first, now [3]string) {
		if first != now {
			// Passwords of a cluster that is deleted.
			t.Errorf("passwords %s: expected %q, seen %q", when, first, now)
		}
	}
	installDatabase(t, space, api)
	first := passwords()
	if first[1] != first[2] || first[0] == first[1] {
		t.Errorf("expected one password of the superuser, and another in both Secrets of the API, seen %q", first)
	}
	arguments := []string{"upgrade", "postgres-db", chart("postgres-db"), "-n", space, "-f", chart("postgres-db") + "/values.local.yaml",
		"--set", "clients.namespaces={" + api + "}", "--wait", "--timeout=3m"}

	before := objectsOf(t, space, "app.kubernetes.io/instance=postgres-db")
	helm(t, arguments...)
	same("after an upgrade without a change", first, passwords())
	sameObjects(t, before, objectsOf(t, space, "app.kubernetes.io/instance=postgres-db"))

	helm(t, append(arguments, "--set", "settings.max_connections=150")...)
	same("after an upgrade with a change", first, passwords())
	set, err := client.AppsV1().StatefulSets(space).Get(ctx, "postgres-db", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if seen := set.Spec.Template.Spec.Containers[0].Args; !slices.Contains(seen, "max_connections=150") {
		t.Errorf("arguments of the server: expected max_connections=150, seen %q", seen)
	}

	helm(t, "rollback", "postgres-db", "1", "-n", space, "--wait", "--timeout=3m")
	same("after a rollback to the first release", first, passwords())

	helm(t, "uninstall", "postgres-db", "-n", space, "--wait")
	kept := []string{"PersistentVolumeClaim/data-postgres-db-0", "Secret/postgres-db", "Secret/postgres-db-api"}
	eventually(t, "only what is kept is left", func() error {
		if left := names(objectsOf(t, space, "")); !slices.Equal(left, kept) {
			return fmt.Errorf("there is %v, and not just %v", left, kept)
		}
		return nil
	})
	same("after uninstalling", first, passwords())

	installDatabase(t, space, api)
	same("after installing again", first, passwords())
	report.note("Seen", "passwords of postgres-db are the same after an upgrade without and with a change, a rollback, uninstalling and installing again; kept is %v", kept)
}

func TestDatabaseWhosePasswordIsLostIsRefused(t *testing.T) {
	space, api := namespace(t, "db-space", "restricted"), namespace(t, "app-space", "restricted")
	installDatabase(t, space, api)
	helm(t, "uninstall", "postgres-db", "-n", space, "--wait")
	kubectl(t, "", "delete", "secret", "postgres-db", "-n", space)
	_, err := cluster.Helm("install", "postgres-db", chart("postgres-db"), "-n", space, "-f", chart("postgres-db")+"/values.local.yaml", "--set", "clients.namespaces={"+api+"}")
	refused(t, "postgres-db over a volume whose Secret is gone", err, "data-postgres-db-0", "restore the Secret, or delete the volume")
}

func TestSecondDatabasePodIsOverQuota(t *testing.T) {
	space, api := namespace(t, "db-space", "restricted"), namespace(t, "app-space", "restricted")
	installDatabase(t, space, api)
	_, err := cluster.Kubectl(fmt.Sprintf(restrictedPod, ", resources: {requests: {cpu: 450m}, limits: {memory: 64Mi}}"), "apply", "-n", space, "-f", "-")
	refused(t, "a pod beside the database that asks for more than is left", err, "exceeded quota: postgres-db", "requests.cpu")
	_, err = cluster.Kubectl(`{apiVersion: v1, kind: Service, metadata: {name: open}, spec: {type: LoadBalancer, ports: [{port: 5432}]}}`, "apply", "-n", space, "-f", "-")
	refused(t, "a LoadBalancer in the namespace of the database", err, "exceeded quota: postgres-db", "services.loadbalancers=1")
	_, err = cluster.Kubectl(fmt.Sprintf(restrictedPod, ", resources: {limits: {memory: 4Gi}}"), "apply", "-n", space, "-f", "-")
	refused(t, "a pod beside the database with more memory than one may have", err, "maximum memory usage per Container is 1Gi")
}

func TestPodsOfDatabaseTestAreAdmitted(t *testing.T) {
	space, api := namespace(t, "db-space", "restricted"), namespace(t, "app-space", "restricted")
	installDatabase(t, space, api)
	admitHooks(t, "postgres-db", space)
}

func TestDrainOfTheDatabasesNodeNeedsNoForce(t *testing.T) {
	space, api := namespace(t, "db-space", "restricted"), namespace(t, "app-space", "restricted")
	installDatabase(t, space, api)
	pod, err := client.CoreV1().Pods(space).Get(ctx, "postgres-db-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kubectl(t, "", "uncordon", pod.Spec.NodeName) })
	kubectl(t, "", "drain", pod.Spec.NodeName, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app.kubernetes.io/name=postgres-db", "--timeout=90s")
	eventually(t, "the database is ready on another node", func() error {
		now, err := client.CoreV1().Pods(space).Get(ctx, "postgres-db-0", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.UID == pod.UID || now.Spec.NodeName == pod.Spec.NodeName || !ready(now) {
			return errors.New("it is not")
		}
		return nil
	})
}

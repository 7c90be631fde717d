package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"charts/manifests"
	corev1 "k8s.io/api/core/v1"
)

// The names of the code, which the rules on the environment know.
var (
	// The options of the host, by its source.
	hostOptions = sync.OnceValue(func() []string {
		return allMatches("host/src/options.rs", regexp.MustCompile(`env = "(BIRTHDAY_[A-Z_]+)"`))
	})
	// The variables of the component, by spin.toml, and those of them that are secrets.
	variables = sync.OnceValue(func() []string {
		return allMatches("spin.toml", regexp.MustCompile(`(?m)^([a-z_]+) = \{ default = `))
	})
	secretVariables = sync.OnceValue(func() []string {
		return allMatches("spin.toml", regexp.MustCompile(`(?m)^([a-z_]+) = \{.*secret = true`))
	})
	// The variables of libraries that the host uses: the log, and the SDKs of OpenTelemetry and AWS.
	libraryOptions = regexp.MustCompile(`^(RUST_LOG|OTEL_[A-Z_]+|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN))$`)
)

func allMatches(file string, pattern *regexp.Regexp) []string {
	text, err := os.ReadFile(filepath.Join(manifests.Root, file))
	if err != nil {
		panic(err)
	}
	var found []string
	for _, match := range pattern.FindAllSubmatch(text, -1) {
		found = append(found, string(match[1]))
	}
	if len(found) == 0 {
		panic(fmt.Sprintf("%s: nothing like %s", file, pattern))
	}
	return found
}

// environment is the environment of a container: names with values. Values that are not in the rendering are "".
func (r rendering) environment(namespace string, container corev1.Container) map[string]string {
	environment := map[string]string{}
	for _, from := range container.EnvFrom {
		for _, o := range r.objects {
			if from.ConfigMapRef == nil || o.GetKind() != "ConfigMap" || o.GetNamespace() != namespace || o.GetName() != from.ConfigMapRef.Name {
				continue
			}
			for name, value := range o.labelsAt("data") {
				environment[name] = value
			}
		}
	}
	for _, env := range container.Env {
		environment[env.Name] = env.Value
	}
	return environment
}

func runsTheAPI(w workload) bool {
	return w.template.Labels["app.kubernetes.io/component"] == "api"
}

// A variable that no code reads is a typo.
func environmentIsKnown(r rendering) (problems []string) {
	// The variables of extraEnv.
	given := textsOf(r.values)
	for _, workload := range r.workloads() {
		if !runsTheAPI(workload) {
			continue
		}
		container := workload.template.Spec.Containers[0]
		for name := range r.environment(workload.object.GetNamespace(), container) {
			variable, isVariable := strings.CutPrefix(name, "SPIN_VARIABLE_")
			known := slices.Contains(hostOptions(), name) || libraryOptions.MatchString(name) || given[name]
			if isVariable {
				if !workload.byOperator {
					// Only our host reads files.
					variable = strings.TrimSuffix(variable, "_FILE")
				}
				known = slices.Contains(variables(), strings.ToLower(variable))
			}
			if !known {
				problems = append(problems, fmt.Sprintf("%s: %s is no option of the host, and no variable of the component", workload, name))
			}
		}
		names := map[string]bool{}
		for _, env := range container.Env {
			if names[env.Name] {
				problems = append(problems, fmt.Sprintf("%s: %s is set twice", workload, env.Name))
			}
			names[env.Name] = true
		}
	}
	return problems
}

// filesInAddresses are parameters that name files, by the variable with the address: the password of Redis, and the certificate for
// Postgres with its key.
var filesInAddresses = map[string]*regexp.Regexp{
	"BIRTHDAY_KEY_VALUE":         regexp.MustCompile(`[?&]password_file=([^&]+)`),
	"SPIN_VARIABLE_DATABASE_URL": regexp.MustCompile(`[?&](?:sslcert|sslkey)=([^&]+)`),
}

// The file of a secret is in a volume that is mounted as a whole: Kubernetes never updates a subPath when a Secret changes.
func secretFilesAreMounted(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		for _, container := range workload.containers() {
			for name, value := range r.environment(workload.object.GetNamespace(), container) {
				var files []string
				if parameter := filesInAddresses[name]; parameter != nil {
					for _, match := range parameter.FindAllStringSubmatch(value, -1) {
						files = append(files, match[1])
					}
				} else if strings.HasPrefix(name, "SPIN_VARIABLE_") && strings.HasSuffix(name, "_FILE") {
					files = []string{value}
				}
				for _, file := range files {
					if !slices.ContainsFunc(container.VolumeMounts, func(mount corev1.VolumeMount) bool {
						return mount.SubPath == "" && mount.SubPathExpr == "" && workload.hasFile(mount, file)
					}) {
						problems = append(problems, fmt.Sprintf("%s: %s: no volume has %s", workload, name, file))
					}
				}
			}
		}
	}
	return problems
}

// hasFile says whether a mounted volume has a file at a path. A provider of the Secrets Store CSI driver decides which it has.
func (w workload) hasFile(mount corev1.VolumeMount, path string) bool {
	name, isBelow := strings.CutPrefix(path, mount.MountPath+"/")
	return isBelow && slices.ContainsFunc(w.template.Spec.Volumes, func(volume corev1.Volume) bool {
		if volume.Name != mount.Name {
			return false
		}
		return volume.CSI != nil || volume.Secret != nil && slices.ContainsFunc(volume.Secret.Items,
			func(item corev1.KeyToPath) bool { return item.Path == name })
	})
}

// The kubelet kills a pod after its grace period: the host must be done by then.
func drainFitsGracePeriod(r rendering) (problems []string) {
	for _, workload := range r.workloads() {
		if !runsTheAPI(workload) || workload.byOperator {
			continue
		}
		environment := r.environment(workload.object.GetNamespace(), workload.template.Spec.Containers[0])
		var needed time.Duration
		for _, name := range []string{"BIRTHDAY_DRAIN_DELAY", "BIRTHDAY_SHUTDOWN_GRACE"} {
			duration, err := time.ParseDuration(environment[name])
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %s: %s", workload, name, err))
			}
			needed += duration
		}
		period := workload.template.Spec.TerminationGracePeriodSeconds
		if period == nil || time.Duration(*period)*time.Second <= needed {
			problems = append(problems, fmt.Sprintf("%s: the grace period is not longer than %s", workload, needed))
		}
	}
	return problems
}

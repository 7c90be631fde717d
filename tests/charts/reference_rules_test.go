package charts

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A reference points to another object of the same namespace; key is "" if it is to the whole object.
type reference struct{ kind, name, key string }

func (r reference) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s/%s, key %s", r.kind, r.name, r.key), ", key ")
}

// references are those of a workload's pods, without optional ones.
func (w workload) references() []reference {
	var all []reference
	add := func(kind, name, key string) { all = append(all, reference{kind, name, key}) }
	spec := w.template.Spec
	for _, secret := range spec.ImagePullSecrets {
		add("Secret", secret.Name, "")
	}
	if spec.ServiceAccountName != "" && spec.ServiceAccountName != "default" {
		add("ServiceAccount", spec.ServiceAccountName, "")
	}
	for _, container := range w.containers() {
		for _, from := range container.EnvFrom {
			if from.ConfigMapRef != nil {
				add("ConfigMap", from.ConfigMapRef.Name, "")
			}
			if from.SecretRef != nil {
				add("Secret", from.SecretRef.Name, "")
			}
		}
		for _, env := range container.Env {
			if from := env.ValueFrom; from != nil && from.SecretKeyRef != nil {
				add("Secret", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			}
			if from := env.ValueFrom; from != nil && from.ConfigMapKeyRef != nil {
				add("ConfigMap", from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
			}
		}
	}
	for _, volume := range spec.Volumes {
		all = append(all, volumeReferences(volume)...)
	}
	if secret := w.object.text("spec", "runtimeConfig", "loadFromSecret"); w.byOperator && secret != "" {
		add("Secret", secret, "runtime-config.toml")
	}
	return all
}

func volumeReferences(volume corev1.Volume) []reference {
	var all []reference
	if from := volume.Secret; from != nil {
		all = append(all, keyed("Secret", from.SecretName, from.Items)...)
	}
	if from := volume.ConfigMap; from != nil {
		all = append(all, keyed("ConfigMap", from.Name, from.Items)...)
	}
	if from := volume.PersistentVolumeClaim; from != nil {
		all = append(all, reference{"PersistentVolumeClaim", from.ClaimName, ""})
	}
	if volume.CSI != nil {
		all = append(all, reference{"SecretProviderClass", volume.CSI.VolumeAttributes["secretProviderClass"], ""})
	}
	if volume.Projected != nil {
		for _, from := range volume.Projected.Sources {
			if from.Secret != nil {
				all = append(all, keyed("Secret", from.Secret.Name, from.Secret.Items)...)
			}
			if from.ConfigMap != nil {
				all = append(all, keyed("ConfigMap", from.ConfigMap.Name, from.ConfigMap.Items)...)
			}
		}
	}
	return all
}

func keyed(kind, name string, items []corev1.KeyToPath) []reference {
	all := []reference{{kind, name, ""}}
	for _, item := range items {
		all = append(all, reference{kind, name, item.Key})
	}
	return all
}

// made are the objects of a namespace that pods can refer to, with their keys: those of the rendering, and the Secrets that
// controllers create for it.
func (r rendering) made(namespace string) map[reference]bool {
	made := map[reference]bool{}
	add := func(kind, name, key string) {
		made[reference{kind, name, ""}] = true
		made[reference{kind, name, key}] = true
	}
	for _, o := range r.objects {
		if o.GetNamespace() != namespace {
			continue
		}
		add(o.GetKind(), o.GetName(), "")
		for _, field := range []string{"data", "stringData"} {
			data, _ := o.at(field).(map[string]any)
			for key := range data {
				add(o.GetKind(), o.GetName(), key)
			}
		}
		switch o.GetKind() {
		case "ExternalSecret":
			for _, data := range o.maps("spec", "data") {
				add("Secret", o.text("spec", "target", "name"), fmt.Sprint(data["secretKey"]))
			}
		case "VaultStaticSecret":
			// Vault decides which keys it has.
			add("Secret", o.text("spec", "destination", "name"), "*")
		case "Certificate":
			for _, key := range []string{"tls.crt", "tls.key", "ca.crt"} {
				add("Secret", o.text("spec", "secretName"), key)
			}
		}
	}
	return made
}

// Objects that pods refer to are part of the rendering, or the values name them as existing.
func referencesResolve(r rendering) (problems []string) {
	named := textsOf(r.values)
	for _, workload := range r.workloads() {
		made := r.made(workload.object.GetNamespace())
		for _, to := range workload.references() {
			whole := reference{to.kind, to.name, ""}
			anyKey := reference{to.kind, to.name, "*"}
			switch {
			case made[to] || made[anyKey]:
			case made[whole]:
				problems = append(problems, fmt.Sprintf("%s: %s: no such key", workload, to))
			case !named[to.name]:
				problems = append(problems, fmt.Sprintf("%s: %s: neither rendered nor named by the values", workload, to))
			}
		}
		problems = append(problems, mountsWithoutVolume(workload)...)
	}
	return problems
}

func mountsWithoutVolume(workload workload) (problems []string) {
	volumes := map[string]bool{}
	for _, volume := range workload.template.Spec.Volumes {
		volumes[volume.Name] = true
	}
	for _, claim := range workload.object.maps("spec", "volumeClaimTemplates") {
		volumes[(object{unstructuredOf(claim)}).GetName()] = true
	}
	for _, container := range workload.containers() {
		for _, mount := range container.VolumeMounts {
			if !volumes[mount.Name] {
				problems = append(problems, fmt.Sprintf("%s: container %s: no volume %s", workload, container.Name, mount.Name))
			}
		}
	}
	return problems
}

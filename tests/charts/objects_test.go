package charts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"charts/manifests"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// An object is one document of what helm renders.
type object struct{ *unstructured.Unstructured }

func (o object) String() string { return o.GetKind() + "/" + o.GetName() }

// at is the value at a path, or nil.
func (o object) at(path ...string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	return value
}

func (o object) text(path ...string) string {
	text, _ := o.at(path...).(string)
	return text
}

// maps is the list of maps at a path.
func (o object) maps(path ...string) []map[string]any {
	list, _ := o.at(path...).([]any)
	var maps []map[string]any
	for _, element := range list {
		if element, isMap := element.(map[string]any); isMap {
			maps = append(maps, element)
		}
	}
	return maps
}

func (o object) labelsAt(path ...string) map[string]string {
	labels, _, _ := unstructured.NestedStringMap(o.Object, path...)
	return labels
}

// as converts an object into its type, without the fields that the type does not have: the tests of schemas check those.
func as[T any](o object) *T {
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, typed); err != nil {
		panic(fmt.Sprintf("%s: %s", o, err))
	}
	return typed
}

func parseObjects(text string) ([]object, error) {
	parsed, err := manifests.Parse(text)
	var objects []object
	for _, o := range parsed {
		objects = append(objects, object{o})
	}
	return objects, err
}

// ofKind are the objects of one kind of an API group ("" is the core's).
func (r rendering) ofKind(group, kind string) []object {
	var found []object
	for _, object := range r.objects {
		if gvk := object.GroupVersionKind(); gvk.Group == group && gvk.Kind == kind {
			found = append(found, object)
		}
	}
	return found
}

// A workload creates pods.
type workload struct {
	object   object
	selector map[string]string
	template corev1.PodTemplateSpec
	// The spin-operator creates it from a SpinApp, which has fewer fields than a pod.
	byOperator bool
}

func (w workload) String() string { return w.object.String() }

func (w workload) containers() []corev1.Container {
	spec := w.template.Spec
	return append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...)
}

func (r rendering) workloads() []workload {
	var all []workload
	for _, o := range r.objects {
		gvk := o.GroupVersionKind()
		switch gvk.Group + "/" + gvk.Kind {
		case "/Pod":
			pod := as[corev1.Pod](o)
			all = append(all, workload{object: o, template: corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}})
		case "apps/Deployment":
			spec := as[appsv1.Deployment](o).Spec
			all = append(all, workload{object: o, selector: spec.Selector.MatchLabels, template: spec.Template})
		case "argoproj.io/Rollout":
			spec := as[rollout](o).Spec
			all = append(all, workload{object: o, selector: spec.Selector.MatchLabels, template: spec.Template})
		case "apps/StatefulSet":
			spec := as[appsv1.StatefulSet](o).Spec
			all = append(all, workload{object: o, selector: spec.Selector.MatchLabels, template: spec.Template})
		case "batch/Job":
			all = append(all, workload{object: o, template: as[batchv1.Job](o).Spec.Template})
		case "batch/CronJob":
			all = append(all, workload{object: o, template: as[batchv1.CronJob](o).Spec.JobTemplate.Spec.Template})
		case "core.spinkube.dev/SpinApp":
			all = append(all, podsOfSpinApp(o))
		}
	}
	return all
}

// rollout has the parts of a Rollout that are those of a Deployment.
type rollout struct {
	Spec struct {
		Selector metav1.LabelSelector   `json:"selector"`
		Template corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

// spinApp has the parts of a SpinApp that affect its pods.
type spinApp struct {
	Spec struct {
		Image              string                        `json:"image"`
		Resources          corev1.ResourceRequirements   `json:"resources"`
		ServiceAccountName string                        `json:"serviceAccountName"`
		ImagePullSecrets   []corev1.LocalObjectReference `json:"imagePullSecrets"`
		Volumes            []corev1.Volume               `json:"volumes"`
		VolumeMounts       []corev1.VolumeMount          `json:"volumeMounts"`
		Variables          []corev1.EnvVar               `json:"variables"`
	} `json:"spec"`
}

// podsOfSpinApp are the pods of the Deployment that spin-operator 0.6 creates (constructDeployment in its source), with the
// fields that the rules check.
func podsOfSpinApp(app object) workload {
	own := map[string]string{
		"core.spinkube.dev/app-name":                         app.GetName(),
		"core.spinkube.dev/app." + app.GetName() + ".status": "ready",
	}
	labels := app.labelsAt("spec", "podLabels")
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range own {
		labels[key] = value
	}
	given := as[spinApp](app).Spec
	container := corev1.Container{
		Name:         app.GetName(),
		Image:        given.Image,
		Ports:        []corev1.ContainerPort{{Name: "http-app", ContainerPort: 80}},
		Resources:    given.Resources,
		VolumeMounts: given.VolumeMounts,
	}
	for _, variable := range given.Variables {
		variable.Name = "SPIN_VARIABLE_" + strings.ToUpper(variable.Name)
		container.Env = append(container.Env, variable)
	}
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		ServiceAccountName: given.ServiceAccountName,
		ImagePullSecrets:   given.ImagePullSecrets,
		Volumes:            given.Volumes,
		Containers:         []corev1.Container{container},
	}}
	template.Labels = labels
	return workload{object: app, selector: own, template: template, byOperator: true}
}

// services are those of the rendering, with the selectors that the controller of Rollouts gives them, and those that the spin-operator
// creates.
func (r rendering) services() []corev1.Service {
	var all []corev1.Service
	for _, o := range r.ofKind("", "Service") {
		service := *as[corev1.Service](o)
		for _, rollout := range r.ofKind("argoproj.io", "Rollout") {
			if service.Spec.Selector == nil && slices.Contains(versionServices(rollout), service.Name) {
				// It adds the hash of a version, which only its pods have.
				service.Spec.Selector = rollout.labelsAt("spec", "template", "metadata", "labels")
			}
		}
		all = append(all, service)
	}
	for _, app := range r.ofKind("core.spinkube.dev", "SpinApp") {
		service := corev1.Service{Spec: corev1.ServiceSpec{
			Ports:    []corev1.ServicePort{{Port: 80}},
			Selector: map[string]string{"core.spinkube.dev/app." + app.GetName() + ".status": "ready"},
		}}
		service.Name, service.Namespace = app.GetName(), app.GetNamespace()
		all = append(all, service)
	}
	return all
}

// walk calls visit for every text of a value, with the keys that lead to it.
func walk(value any, path string, visit func(path, text string)) {
	switch value := value.(type) {
	case map[string]any:
		for key, value := range value {
			walk(value, path+"."+key, visit)
		}
	case []any:
		for i, value := range value {
			walk(value, fmt.Sprintf("%s.%d", path, i), visit)
		}
	case string:
		visit(path, value)
	}
}

func unstructuredOf(fields map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: fields}
}

// secretValuesOf are the values of all Secrets.
func secretValuesOf(objects []object) map[string]bool {
	values := map[string]bool{}
	for _, o := range objects {
		if o.GetKind() != "Secret" {
			continue
		}
		for _, field := range []string{"data", "stringData"} {
			for _, value := range o.labelsAt(field) {
				values[value] = true
			}
		}
	}
	return values
}

// sameJSON compares values from different readers, which may have different types of numbers.
func sameJSON(a, b any) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && string(left) == string(right)
}

// textsOf are all texts in a value.
func textsOf(value any) map[string]bool {
	texts := map[string]bool{}
	walk(value, "", func(_, text string) { texts[text] = true })
	return texts
}

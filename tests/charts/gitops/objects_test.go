package gitops

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// object is one of Kubernetes, as JSON has it.
type object map[string]any

func (o object) String() string { return o.kind() + " " + o.name() }

func (o object) kind() string      { return o.text("kind") }
func (o object) name() string      { return o.text("metadata", "name") }
func (o object) namespace() string { return o.text("metadata", "namespace") }

// group is the API group; empty for Kubernetes' first one.
func (o object) group() string {
	group, _, found := strings.Cut(o.text("apiVersion"), "/")
	if !found {
		return ""
	}
	return group
}

// at is the value of a field, by names and indices; nil if there is none.
func (o object) at(path ...any) any { return at(map[string]any(o), path...) }

func at(value any, path ...any) any {
	for _, step := range path {
		switch parent := value.(type) {
		case map[string]any:
			name, _ := step.(string)
			value = parent[name]
		case []any:
			i, isIndex := step.(int)
			if !isIndex || i >= len(parent) {
				return nil
			}
			value = parent[i]
		default:
			return nil
		}
	}
	return value
}

// text is a field that is a string; empty if it is none.
func (o object) text(path ...any) string { return text(o.at(path...)) }

func text(value any) string {
	text, _ := value.(string)
	return text
}

// list is a field that is a list; empty if it is none.
func (o object) list(path ...any) []any {
	list, _ := o.at(path...).([]any)
	return list
}

func texts(list []any) []string {
	var texts []string
	for _, item := range list {
		texts = append(texts, text(item))
	}
	return texts
}

func (o object) clone() object { return runtime.DeepCopyJSON(o) }

// asJSON is the same for equal values.
func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// report has the results of the tests. It is printed at the end, and written to target/cluster/report.txt.
var report recorder

type recorder struct {
	lock     sync.Mutex
	sections []string
	notes    map[string][]string
}

func (r *recorder) note(section, format string, arguments ...any) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.notes == nil {
		r.notes = map[string][]string{}
	}
	if _, there := r.notes[section]; !there {
		r.sections = append(r.sections, section)
	}
	r.notes[section] = append(r.notes[section], fmt.Sprintf(format, arguments...))
}

func (r *recorder) write(path string) error {
	var text strings.Builder
	for _, section := range r.sections {
		fmt.Fprintf(&text, "\n%s\n%s\n", section, strings.Repeat("-", len(section)))
		for _, note := range r.notes[section] {
			fmt.Fprintf(&text, "%s\n", note)
		}
	}
	fmt.Print(text.String())
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

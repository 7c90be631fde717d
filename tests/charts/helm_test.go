package charts

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

// oldestKubernetes is the oldest version that the charts support. Without it helm 3 would assume 1.20.
const oldestKubernetes = "1.30.0"

// run returns the output of a program, or an error that contains it.
func run(program string, arguments ...string) (string, error) {
	var out, errs bytes.Buffer
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return out.String(), errors.New(strings.TrimSpace(fmt.Sprintf("%s%s", errs.String(), err)))
	}
	return out.String(), nil
}

// release has the arguments of helm besides the chart.
type release struct {
	name, namespace string
	arguments       []string
}

// template renders a chart with a helm ("helm" or "helm3").
func template(helm, folder string, release release) (string, error) {
	arguments := []string{"template", release.name, folder,
		"--namespace", release.namespace, "--kube-version", oldestKubernetes}
	return run(toolPath(helm), append(arguments, release.arguments...)...)
}

// inParallel calls work for 0 to count-1, with one call per processor at a time: each rendering is a process.
func inParallel(count int, work func(int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range runtime.NumCPU() {
		group.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	group.Wait()
}

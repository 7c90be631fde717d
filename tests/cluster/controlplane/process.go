package controlplane

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a program that was started, with its output in a file.
type process struct {
	name    string
	command *exec.Cmd
	log     string
	ended   chan struct{}
	err     error
}

// spawner starts processes from one thread that lives as long as this program: the kernel kills them when that thread is gone (Pdeathsig), so that none
// is left behind even when this program is killed.
var spawner = func() chan<- func() {
	starts := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
	return starts
}()

func spawn(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	spawner <- func() { started <- command.Start() }
	return <-started
}

func startProcess(dir, program string, environment []string, arguments ...string) (*process, error) {
	name := filepath.Base(program)
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()

	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Dir = dir
	command.Stdout, command.Stderr = log, log
	if err := spawn(command); err != nil {
		return nil, err
	}
	p := &process{name: name, command: command, log: log.Name(), ended: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process, by force if it does not end within the grace.
func (p *process) stop(grace time.Duration) {
	p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
		p.command.Process.Kill()
		<-p.ended
	}
}

// failure has the exit status of a process, and the end of its output.
func (p *process) failure() error {
	return fmt.Errorf("%s ended: %v; the end of its log:\n%s", p.name, p.err, tail(p.log, 20))
}

func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// freePorts returns distinct free ports of 127.0.0.1.
func freePorts(count int) ([]int, error) {
	var held []io.Closer
	defer func() {
		for _, listener := range held {
			listener.Close()
		}
	}()
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, listener)
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func connect(port int) error {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		connection.Close()
	}
	return err
}

// eventually tries until there is no error, the process has ended, or the time is over.
func eventually(what string, p *process, timeout time.Duration, try func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return p.failure()
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %s: %w; the end of %s's log:\n%s", what, timeout, err, p.name, tail(p.log, 20))
		}
	}
}

// run runs a program to its end, or until the cluster is stopped, and returns its standard output.
func (c *Cluster) run(environment []string, stdin string, program string, arguments ...string) (string, error) {
	c.running.Add(1)
	defer c.running.Done()
	var output, errors strings.Builder
	command := exec.CommandContext(c.stopping, program, arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &output, &errors
	err := spawn(command)
	if err == nil {
		err = command.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(arguments, " "), err, strings.TrimSpace(errors.String()))
	}
	return output.String(), err
}

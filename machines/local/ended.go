package local

import (
	"fmt"
	"os"
)

// Ended says what has ended that was started and not stopped again: a machine or a program
// of the surroundings. It returns nil where all that was started runs.
func (p *Platform) Ended() error {
	names, err := p.machineNames()
	if err != nil {
		return nil // a folder that cannot be read is somebody else's to say
	}
	for _, name := range names {
		if p.process(processMachine + name).lost() {
			return fmt.Errorf("machine %s has ended: its console log is %s (`dmesg` says where the kernel ended it for want of memory), and `craton up` starts it again",
				name, p.path("machines", name, "console.log"))
		}
	}
	for _, name := range p.surroundings() {
		if proc := p.process(name); proc.lost() {
			return fmt.Errorf("the %s has ended: its log is %s, and `craton up` starts it again", name, proc.log)
		}
	}
	return nil
}

// lost tells whether the process was started, and neither runs nor was stopped.
func (pr process) lost() bool {
	_, err := os.Stat(pr.file)
	return err == nil && !pr.alive()
}

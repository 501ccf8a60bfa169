package decisionlog

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefit/imagefit/pkg/policy"
)

// appendEnv makes this program append to the log in the directory it names,
// instead of running tests: another process as the two daemons are.
const appendEnv = "IMAGEFIT_TEST_APPEND"

func TestMain(m *testing.M) {
	if dir := os.Getenv(appendEnv); dir != "" {
		l := Open(dir)
		l.max = smallFile
		if err := appendMany(l, strconv.Itoa(os.Getpid()), 200); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// smallFile is rotated once by all that the processes write.
const smallFile = 80 << 10

// appendMany appends numbered records.
func appendMany(l *Log, who string, count int) error {
	for i := range count {
		if err := l.Append(Record{Time: time.Now(), Program: who, Action: policy.Pulled, Candidates: i + 1}); err != nil {
			return err
		}
	}
	return nil
}

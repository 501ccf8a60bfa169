// Package browser drives a headless Chromium through the DevTools protocol, over the pipe
// that Chromium offers beside its socket, as a person at mouse and keyboard would.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// timeout bounds each answer of the browser.
const timeout = 60 * time.Second

// Browser is one Chromium with one tab.
type Browser struct {
	t       testing.TB
	to      *os.File
	session string

	mu       sync.Mutex
	next     int
	answers  map[int]chan answer
	requests []string // URLs that were asked for
	dialogs  int
	problems []string // exceptions, and what the content security policy blocked
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// Start starts Chromium until the test ends. Without one the test is skipped, or fails
// where the whole stack is required.
func Start(t testing.TB, width, height int) *Browser {
	t.Helper()
	path := find()
	if path == "" && os.Getenv("IMAGEFIT_REQUIRE_STACK") == "" {
		t.Skip("there is no chromium")
	} else if path == "" {
		t.Fatal("there is no chromium: peers/build.sh all installs it")
	}
	toRead, to := pipe(t)
	from, fromWrite := pipe(t)
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-extensions", "--force-color-profile=srgb", "--hide-scrollbars",
		"--remote-debugging-pipe", "--user-data-dir="+filepath.Join(t.TempDir(), "profile"),
		fmt.Sprintf("--window-size=%d,%d", width, height), "about:blank")
	cmd.ExtraFiles = []*os.File{toRead, fromWrite}
	if err := cmd.Start(); err != nil {
		kill()
		t.Fatal(err)
	}
	_, _ = toRead.Close(), fromWrite.Close()
	b := &Browser{t: t, to: to, answers: map[int]chan answer{}}
	var reading sync.WaitGroup
	reading.Go(func() { b.read(from) })
	t.Cleanup(func() {
		_ = to.Close() // which ends the browser
		late := time.AfterFunc(10*time.Second, kill)
		_ = cmd.Wait()
		late.Stop()
		kill()
		_ = from.Close()
		reading.Wait()
	})
	b.attach(width, height)
	return b
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// read reads messages until the browser ends.
func (b *Browser) read(from *os.File) {
	messages := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := messages.ReadBytes(0)
		if err != nil {
			break
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			answer
		}
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		if waiting := b.answers[m.ID]; m.ID != 0 && waiting != nil {
			delete(b.answers, m.ID)
			waiting <- m.answer
		}
		b.note(m.Method, m.Params)
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, waiting := range b.answers {
		waiting <- answer{Error: &struct{ Message string }{"the browser has ended"}}
		delete(b.answers, id)
	}
}

// note keeps what the page did.
func (b *Browser) note(method string, params json.RawMessage) {
	switch method {
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		_ = json.Unmarshal(params, &p)
		b.requests = append(b.requests, p.Request.URL)
	case "Page.javascriptDialogOpening":
		b.dialogs++
	case "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded":
		b.problems = append(b.problems, string(params))
	}
}

func (b *Browser) attach(width, height int) {
	b.t.Helper()
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	b.call("Target.getTargets", nil, &targets)
	for _, target := range targets.TargetInfos {
		if target.Type == "page" {
			var attached struct{ SessionID string }
			b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
			b.session = attached.SessionID
		}
	}
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// call calls a method of the protocol, or the test ends.
func (b *Browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	if err := b.ask(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

// ask calls a method of the protocol.
func (b *Browser) ask(method string, params map[string]any, result any) error {
	b.mu.Lock()
	b.next++
	id, waiting := b.next, make(chan answer, 1)
	b.answers[id] = waiting
	b.mu.Unlock()
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	var got answer
	if err == nil {
		select {
		case got = <-waiting:
		case <-time.After(timeout):
			err = errors.New("no answer")
		}
	}
	switch {
	case err != nil:
	case got.Error != nil:
		err = errors.New(got.Error.Message)
	case result != nil:
		err = json.Unmarshal(got.Result, result)
	}
	return err
}

// Open opens a file and waits until it is loaded.
func (b *Browser) Open(path string) {
	b.t.Helper()
	b.mu.Lock()
	b.requests, b.problems, b.dialogs = nil, nil, 0
	b.mu.Unlock()
	b.Eval("void (window.left = true)", nil) // so that a page that is opened again is not taken for loaded
	b.call("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	for deadline := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		var loaded struct{ Result struct{ Value bool } }
		err := b.ask("Runtime.evaluate", map[string]any{
			"expression": "!window.left && document.readyState === 'complete' && location.protocol === 'file:'", "returnByValue": true}, &loaded)
		if err == nil && loaded.Result.Value {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is not loaded: %v", path, err)
		}
	}
}

// Eval evaluates JavaScript. result takes what it returns.
func (b *Browser) Eval(script string, result any) {
	b.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, got.ExceptionDetails.Text)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(got.Result.Value, result); err != nil {
		b.t.Fatalf("%s returns %s: %v", script, got.Result.Value, err)
	}
}

// Text evaluates JavaScript that returns a text.
func (b *Browser) Text(script string) (text string) {
	b.t.Helper()
	b.Eval(script, &text)
	return text
}

// Await waits until JavaScript returns true.
func (b *Browser) Await(script string) {
	b.t.Helper()
	for deadline := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		var is bool
		b.Eval("!!("+script+")", &is)
		if is {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("still not: %s", script)
		}
	}
}

// place returns the middle of an element, once it is there; it is scrolled into view.
func (b *Browser) place(selector string) map[string]any {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	b.Await(fmt.Sprintf("document.querySelector(%s)", quoted))
	at := map[string]any{}
	b.Eval(fmt.Sprintf(`(() => { const e = document.querySelector(%s); e.scrollIntoView({block: 'center', inline: 'center'});
		const r = e.getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2}; })()`, quoted), &at)
	return at
}

func (b *Browser) mouse(kind string, at map[string]any, more map[string]any) {
	b.t.Helper()
	event := map[string]any{"type": kind, "x": at["x"], "y": at["y"]}
	for key, value := range more {
		event[key] = value
	}
	b.call("Input.dispatchMouseEvent", event, nil)
}

// Point moves the mouse to an element.
func (b *Browser) Point(selector string) {
	b.t.Helper()
	b.mouse("mouseMoved", b.place(selector), nil)
}

// Click clicks on an element.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	at, left := b.place(selector), map[string]any{"button": "left", "clickCount": 1}
	b.mouse("mouseMoved", at, nil)
	b.mouse("mousePressed", at, left)
	b.mouse("mouseReleased", at, left)
}

// Press presses keys such as ArrowDown, each with its code.
func (b *Browser) Press(keys ...string) {
	b.t.Helper()
	codes := map[string]int{
		"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Escape": 27, "Home": 36, "End": 35,
		"PageDown": 34, "PageUp": 33, "Tab": 9,
	}
	for _, key := range keys {
		for _, kind := range []string{"rawKeyDown", "keyUp"} {
			b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}, nil)
		}
	}
}

// Type types a text where the focus is.
func (b *Browser) Type(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Media emulates print or screen, and a colour scheme.
func (b *Browser) Media(media, scheme string) {
	b.t.Helper()
	b.call("Emulation.setEmulatedMedia", map[string]any{
		"media": media, "features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot returns what the window shows, as a PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

// Seen returns which URLs the page asked for since it was opened, how many dialogs it
// opened, and what went wrong in it.
func (b *Browser) Seen() (requests []string, dialogs int, problems []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests, b.dialogs, b.problems
}

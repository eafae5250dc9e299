package demo

import (
	"errors"
	"strings"
	"testing"

	"github.com/kolo/xmlrpc"
)

func TestReadCall(t *testing.T) {
	body, err := xmlrpc.EncodeMethodCall("supervisor.stopProcess", "mailer & <co>", true)
	if err != nil {
		t.Fatal(err)
	}
	c, err := readCall(strings.NewReader(string(body)))
	if err != nil || c.Method != "supervisor.stopProcess" || c.arg(0) != "mailer & <co>" || len(c.Params) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = readCall(strings.NewReader("<methodCall><methodName>m</methodName><params><param><value>bare</value></param></params></methodCall>"))
	if err != nil || c.arg(0) != "bare" || c.arg(1) != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := readCall(strings.NewReader("no xml")); err == nil {
		t.Error("what is no call is read as one")
	}
}

func TestAnswer(t *testing.T) {
	var got struct {
		Name string `xmlrpc:"name"`
		PID  int    `xmlrpc:"pid"`
		Up   bool   `xmlrpc:"up"`
	}
	raw := answer(members{{"name", "a<b>&c"}, {"pid", 42}, {"up", true}}, nil)
	if err := xmlrpc.Response(raw).Unmarshal(&got); err != nil || got.Name != "a<b>&c" || got.PID != 42 || !got.Up {
		t.Errorf("%+v, %v from %s", got, err, raw)
	}
	var list []struct {
		Name string `xmlrpc:"name"`
	}
	if err := xmlrpc.Response(answer([]members{{{"name", "x"}}, {{"name", "y"}}}, nil)).Unmarshal(&list); err != nil || len(list) != 2 || list[1].Name != "y" {
		t.Errorf("%+v, %v", list, err)
	}
	for code, err := range map[int]error{faultBadName: &fault{faultBadName, "BAD_NAME: x"}, faultSpawn: errors.New("no memory")} {
		var f xmlrpc.FaultError
		if got := xmlrpc.Response(answer(nil, err)).Err(); !errors.As(got, &f) || f.Code != code {
			t.Errorf("%v came over as %v", err, got)
		}
	}
}

func FuzzReadCall(f *testing.F) {
	f.Add("<methodCall><methodName>supervisor.getProcessInfo</methodName><params><param><value><string>mailer</string></value></param></params></methodCall>")
	f.Add("<methodCall/>")
	f.Fuzz(func(t *testing.T, body string) {
		c, err := readCall(strings.NewReader(body))
		if err == nil && c.arg(len(c.Params)) != "" {
			t.Error("an argument that was not sent")
		}
	})
}

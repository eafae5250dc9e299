package doclient_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// Snapshot a droplet before a restart: order, wait, find the snapshot. The API
// here is the simulator's; for the real one leave BaseURL out.
func Example() {
	sim := dosim.New(dosim.Options{TimeScale: 3600}).Kind()
	sim.AddToken("dop_v1_example", dosim.ExecutorScopes...)
	sim.AddDroplet(dosim.Droplet{ID: 3164444, Name: "web-1", Tags: []string{"celery"}})
	api := httptest.NewServer(sim)
	defer api.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	x, err := doclient.NewExecutor(doclient.Options{
		BaseURL: api.URL, Token: doclient.StaticToken("dop_v1_example"), OnlyTag: "celery",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fast := doclient.AwaitOptions{Every: 10 * time.Millisecond}
	action, err := doclient.RetryPending(ctx, fast, func(ctx context.Context) (doclient.Action, error) {
		return x.Snapshot(ctx, 3164444, "dropleak-run-7")
	})
	if doclient.Unclear(err) {
		fmt.Println("look for its action; never order it again:", err)
		return
	}
	if err == nil {
		action, err = x.Await(ctx, action.ID, fast)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	snapshot, err := x.AwaitSnapshot(ctx, action.DropletID, "dropleak-run-7", fast)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(action.Status, snapshot.Name, snapshot.SizeGB, "GB")
	// Output: completed dropleak-run-7 2.34 GB
}

// Command dropleak finds leaking Celery workers on DigitalOcean droplets, reports them in Slack, and restarts them when
// somebody says so.
package main

func main() {}

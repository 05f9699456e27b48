package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	adapter "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	"sigs.k8s.io/prometheus-adapter/pkg/client"
	"sigs.k8s.io/prometheus-adapter/pkg/config"
	external "sigs.k8s.io/prometheus-adapter/pkg/external-provider"
	"sigs.k8s.io/prometheus-adapter/pkg/naming"
)

// runMetricsAdapter serves external.metrics.k8s.io from Prometheus, so that autoscalers have a metric.
//
// It is the external part of prometheus-adapter. Its own command also needs the resource metrics API, whose
// generated schema does not fit this version of Kubernetes.
func runMetricsAdapter(args []string) error {
	flags := pflag.NewFlagSet("metrics-adapter", pflag.ContinueOnError)
	prometheus := flags.String("prometheus-url", "http://127.0.0.1:9090", "where Prometheus answers")
	rules := flags.String("config", "", "rules as prometheus-adapter reads them; of these, externalRules")
	server := &adapter.AdapterBase{Name: "metrics-adapter", FlagSet: flags}
	server.InstallFlags()
	if err := flags.Parse(args); err != nil {
		return err
	}
	address, err := url.Parse(*prometheus)
	if err != nil {
		return err
	}
	discovery, err := config.FromFile(*rules)
	if err != nil {
		return err
	}
	mapper, err := server.RESTMapper()
	if err != nil {
		return err
	}
	namers, err := naming.NamersFromConfig(discovery.ExternalRules, mapper)
	if err != nil {
		return fmt.Errorf("%s: %w", *rules, err)
	}
	api := untimed{client.NewGenericAPIClient(&http.Client{Timeout: 5 * time.Second}, address, nil)}
	// A metric whose series Prometheus has not seen for a minute is no longer offered.
	provider, lister := external.NewExternalPrometheusProvider(
		client.NewClientForAPI(api, http.MethodGet), namers, time.Second, time.Minute)
	server.WithExternalMetrics(provider)

	ctx := genericapiserver.SetupSignalContext()
	lister.RunUntil(ctx.Done())
	return server.Run(ctx)
}

// untimed asks Prometheus without a timeout. The library states the time that is left with the wrong sign, which
// Prometheus refuses; the HTTP client has its own.
type untimed struct{ client.GenericAPIClient }

func (u untimed) Do(ctx context.Context, verb, endpoint string, query url.Values) (client.APIResponse, error) {
	query.Del("timeout")
	return u.GenericAPIClient.Do(ctx, verb, endpoint, query)
}

// Reads what Portolan tells monitors, by the parsers of those who take it: Prometheus' text by Prometheus' own parser and linter, logs by
// the receiver of the OpenTelemetry Collector. What they refuse fails here, with status 1.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

const usage = `Usage: telemetry-check metrics                       < TEXT   prints every sample as a line of JSON
       telemetry-check receive HOST:PORT [CERT KEY]          takes logs by OTLP/HTTP until it is ended, and prints each as a line of JSON
`

func main() {
	var err error
	switch arguments := os.Args[1:]; {
	case len(arguments) == 1 && arguments[0] == "metrics":
		err = checkMetrics(os.Stdin)
	case (len(arguments) == 2 || len(arguments) == 4) && arguments[0] == "receive":
		err = receive(arguments[1], arguments[2:])
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "telemetry-check: %v\n", err)
		os.Exit(1)
	}
}

func checkMetrics(input io.Reader) error {
	text, err := io.ReadAll(input)
	if err != nil {
		return err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return err
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		return err
	}
	for _, problem := range problems {
		fmt.Fprintf(os.Stderr, "%s: %s\n", problem.Metric, problem.Text)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d problems", len(problems))
	}
	output := json.NewEncoder(os.Stdout)
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			sample := map[string]any{"name": name, "type": family.GetType().String(), "labels": labels, "value": metric.GetGauge().GetValue()}
			if err := output.Encode(sample); err != nil {
				return err
			}
		}
	}
	return nil
}

func receive(address string, certificate []string) error {
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	http := map[string]any{"endpoint": address}
	if len(certificate) == 2 {
		http["tls"] = map[string]any{"cert_file": certificate[0], "key_file": certificate[1]}
	}
	given := map[string]any{"protocols": map[string]any{"http": http}}
	if err := confmap.NewFromStringMap(given).Unmarshal(config); err != nil {
		return err
	}
	var printing sync.Mutex
	output := json.NewEncoder(os.Stdout)
	logs, err := consumer.NewLogs(func(_ context.Context, batch plog.Logs) error {
		printing.Lock()
		defer printing.Unlock()
		return printLogs(output, batch)
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	settings := receiver.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	server, err := factory.CreateLogs(ctx, settings, config, logs)
	if err != nil {
		return err
	}
	if err := server.Start(ctx, componenttest.NewNopHost()); err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	fmt.Fprintf(os.Stderr, "taking logs at %s\n", address)
	<-ended
	return server.Shutdown(ctx)
}

func printLogs(output *json.Encoder, batch plog.Logs) error {
	for _, ofResource := range batch.ResourceLogs().All() {
		for _, ofScope := range ofResource.ScopeLogs().All() {
			for _, record := range ofScope.LogRecords().All() {
				line := map[string]any{
					"resource":   ofResource.Resource().Attributes().AsRaw(),
					"scope":      ofScope.Scope().Name(),
					"time":       record.Timestamp().AsTime().Format(time.RFC3339Nano),
					"observed":   record.ObservedTimestamp().AsTime().Format(time.RFC3339Nano),
					"severity":   int32(record.SeverityNumber()),
					"level":      record.SeverityText(),
					"eventName":  record.EventName(),
					"body":       record.Body().AsRaw(),
					"attributes": record.Attributes().AsRaw(),
				}
				if err := output.Encode(line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

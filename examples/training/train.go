package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/mlsecrets/secretstore"
	"github.com/mlsecrets/secretstore/runctx"
)

// train is the submitted run. It knows names, and no store: runctx finds that.
func train(ctx context.Context, service string) error {
	run, err := runctx.Open(ctx)
	if err != nil {
		return err
	}
	defer run.Close()
	secrets, err := run.GetBatch(ctx, []string{dbUser, dbPassword})
	if err != nil {
		return err
	}
	xs, ys, err := query(ctx, service, secrets[dbUser], secrets[dbPassword])
	if err != nil {
		return err
	}
	slope, intercept := fit(xs, ys)
	fmt.Printf("%s: read %d rows as user %v with password %v\n",
		run.Decision().RunID, len(xs), secrets[dbUser], secrets[dbPassword])
	fmt.Printf("%s: fitted y = %.3f x + %.3f\n", run.Decision().RunID, slope, intercept)
	return nil
}

// query reads the rows of the data service.
func query(ctx context.Context, service string, user, password secretstore.Value) (xs, ys []float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, service+"/rows", nil)
	if err != nil {
		return nil, nil, err
	}
	req.SetBasicAuth(string(user.Reveal()), string(password.Reveal()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return nil, nil, fmt.Errorf("the database refused the credentials in the secrets %s and %s: set them anew", dbUser, dbPassword)
	default:
		return nil, nil, fmt.Errorf("the database answered %s", resp.Status)
	}
	rows := csv.NewReader(resp.Body)
	rows.FieldsPerRecord = 2
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return xs, ys, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the rows: %w", err)
		}
		x, xerr := strconv.ParseFloat(row[0], 64)
		y, yerr := strconv.ParseFloat(row[1], 64)
		if xerr != nil || yerr != nil {
			return nil, nil, fmt.Errorf("row %d is not two numbers", len(xs)+1)
		}
		xs, ys = append(xs, x), append(ys, y)
	}
}

// fit returns the line with the least squared error.
func fit(xs, ys []float64) (slope, intercept float64) {
	n := float64(len(xs))
	var sx, sy, sxx, sxy float64
	for i, x := range xs {
		sx += x
		sy += ys[i]
		sxx += x * x
		sxy += x * ys[i]
	}
	slope = (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return slope, (sy - slope*sx) / n
}

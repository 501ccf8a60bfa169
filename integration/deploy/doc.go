// Package deploy holds the tests of what lies in deploy/ that need a parser which the
// product does without: the queries of the alerts and of the dashboard.
package deploy

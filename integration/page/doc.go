// Package page tests the pages of imagefit in a browser.
package page

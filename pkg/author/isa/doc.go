// Package isa finds the instruction set extensions that the code of a program
// uses, and which of them only after the program has looked at the CPU.
//
// Code is untrusted: all that is decoded of it is bounded, and bytes that are no
// instructions are skipped.
package isa

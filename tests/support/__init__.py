"""What tests of several parts share: toy keys, batch bytes built from the specification, rollups to test."""

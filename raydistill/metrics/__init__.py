"""Metrics: functions of samples and references to numbers, each tested on known answers."""

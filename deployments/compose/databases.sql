-- Run once, when the volume is new: Prefect keeps its records apart from ours, so either can be dropped alone.
CREATE DATABASE prefect;

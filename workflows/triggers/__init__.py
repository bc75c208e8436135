"""What starts runs without a user: schedules and webhooks."""

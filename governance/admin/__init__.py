"""What every page of the back office is built from. The pages themselves are in the rooms whose rows they show."""

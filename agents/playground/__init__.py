"""The playground, a page of the back office: prompts are tried there with several models side by side."""

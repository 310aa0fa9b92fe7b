"""What a running process needs: settings, pools, clock, tasks, tokens, embedded servers."""

"""The domain, pure: market arrays, simulator, policy, PPO, backtest, judgement."""

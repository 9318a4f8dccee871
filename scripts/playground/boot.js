// Runs in the browser, after GraphiQL's own script.
(() => {
  const settings = JSON.parse(document.getElementById('settings').textContent);
  const { workers } = settings;
  self.MonacoEnvironment = {
    globalAPI: false,
    getWorkerUrl: (_module, label) => workers[label] ?? workers.editor,
  };
  self.YogaGraphiQL.renderYogaGraphiQL(document.getElementById('root'), {
    title: settings.title,
    endpoint: settings.endpoint,
    // Everything goes to the one endpoint: subscriptions over graphql-ws, the rest over HTTP.
    subscriptionsProtocol: 'WS',
    credentials: 'same-origin',
    // An API key typed into the headers is gone with the page.
    shouldPersistHeaders: false,
    defaultTabs: settings.tabs,
    // By default every edit is copied into the address bar, and so into the browser's history; and as the address has no
    // variables, the next reload would open the same operation a second time. Tabs are kept without it.
    onEditQuery: () => {},
    ...activeTab(),
  });

  /**
   * What the editors show at first. GraphiQL itself would show the first tab without its variables; and after a reload it
   * looks the tab up by operation and variables, of which it stores the latter only once they are edited, so that it would
   * not find the tab and open it a second time.
   */
  function activeTab() {
    // A link to an operation wins.
    if (new URLSearchParams(location.search).has('query')) return {};
    const { query, variables } = storedTab() ?? settings.tabs[0];
    return { query: query ?? '', variables: variables ?? '' };
  }

  function storedTab() {
    try {
      const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState'));
      return tabs[activeTabIndex];
    } catch {
      // The first visit, or something that GraphiQL will not understand either.
      return undefined;
    }
  }
})();

// What would leave a reader who hears the page without a clue, as lists of words: each list should be empty.
(() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const name = (e) => e.outerHTML.slice(0, 80);
    const faults = { language: [], landmarks: [], headings: [], tables: [], pictures: [], links: [], ids: [], lists: [] };

    if (document.documentElement.lang !== "en" || !document.title.trim()) {
        faults.language.push("no language or no title");
    }
    if (all("main").length !== 1) {
        faults.landmarks.push(all("main").length + " of main");
    }
    faults.landmarks.push(...all("nav:not([aria-label])").map(name));
    for (const e of document.body.children) { // everything stands in a landmark, but for the way past them
        if (!e.matches("main, nav, header, footer, a.skip")) {
            faults.landmarks.push(name(e));
        }
    }

    let level = 0;
    for (const h of all("h1, h2, h3, h4, h5, h6")) {
        const own = Number(h.tagName[1]);
        if (own > level + 1 || !h.textContent.trim()) {
            faults.headings.push("after h" + level + ": " + name(h));
        }
        level = own;
    }
    if (all("h1").length !== 1) {
        faults.headings.push(all("h1").length + " of h1");
    }

    faults.tables.push(...all("th:not([scope])").map(name));
    faults.tables.push(...all("table").filter((t) => !t.querySelector("thead th[scope=col]")).map(name));
    faults.tables.push(...all("tbody tr").filter((r) => !r.querySelector("th[scope=row]")).map(name));

    for (const svg of all("svg")) {
        const title = svg.querySelector(":scope > title"), desc = svg.querySelector(":scope > desc");
        if (svg.getAttribute("role") !== "img" || !title || !title.textContent.trim() || !desc) {
            faults.pictures.push(name(svg));
        }
    }
    faults.pictures.push(...all("img:not([alt])").map(name));

    for (const a of all("a[href^='#']")) {
        if (!document.getElementById(a.getAttribute("href").slice(1)) || !a.textContent.trim()) {
            faults.links.push(name(a));
        }
    }
    faults.links.push(...all("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").map(name));
    const ids = all("[id]").map((e) => e.id);
    faults.ids.push(...ids.filter((id, i) => ids.indexOf(id) !== i));
    faults.lists.push(...all("dl > div").filter((d) => !d.querySelector("dt") || !d.querySelector("dd")).map(name));
    return faults;
})()

// What a reader would trip over on the page, as lists of words: each list should be empty.
(() => {
    const width = document.documentElement.clientWidth;
    const name = (e) => e.tagName.toLowerCase() + (e.getAttribute("class") ? "." + e.getAttribute("class").replace(/ /g, ".") : "") +
        " '" + (e.textContent || "").trim().slice(0, 40) + "'";
    const visible = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && e.getClientRects().length > 0;
    const all = [...document.body.querySelectorAll("*")].filter(visible);
    const faults = { wide: [], small: [], overlapping: [], pale: [] };

    if (document.documentElement.scrollWidth > width) {
        faults.wide.push("the page scrolls sideways: " + document.documentElement.scrollWidth + " of " + width);
    }
    for (const e of all) {
        const box = e.getBoundingClientRect();
        if (box.width > 0 && (box.right > width + 0.5 || box.left < -0.5)) {
            faults.wide.push(name(e) + " from " + box.left + " to " + box.right);
        }
    }

    // Text in a picture is scaled with it.
    const scale = (e) => {
        const svg = e.closest("svg");
        return svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    };
    const holdsText = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
    const texts = all.filter((e) => holdsText(e) && !["TITLE", "DESC"].includes(e.tagName.toUpperCase()));
    for (const e of texts) {
        const size = parseFloat(getComputedStyle(e).fontSize) * scale(e);
        if (size < 12) {
            faults.small.push(name(e) + " at " + size.toFixed(1) + " px");
        }
    }

    for (const svg of document.querySelectorAll("svg")) {
        const labels = [...svg.querySelectorAll("text")].filter(visible);
        labels.forEach((a, i) => labels.slice(i + 1).forEach((b) => {
            const p = a.getBoundingClientRect(), q = b.getBoundingClientRect();
            const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
            const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
            if (wide > 1 && high > 3) {
                faults.overlapping.push(name(a) + " and " + name(b));
            }
        }));
    }

    // Contrast as WCAG 2 counts it; the page has no see-through backgrounds.
    const channels = (css) => css.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
        for (let p = e; p; p = p.parentElement) {
            const c = channels(getComputedStyle(p).backgroundColor);
            if (c.length < 4 || c[3] > 0) {
                return c;
            }
        }
        return [255, 255, 255];
    };
    for (const e of texts) {
        const style = getComputedStyle(e);
        const a = light(channels(e.closest("svg") ? style.fill : style.color)), b = light(ground(e));
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) {
            faults.pale.push(name(e) + " has contrast " + contrast.toFixed(2));
        }
    }
    return faults;
})()
